"""Entry points: parse, open the workspace, call one library function, report as a job."""
