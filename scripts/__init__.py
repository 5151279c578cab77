"""Entry points: each opens a workspace, calls one library function and reports as a job."""
