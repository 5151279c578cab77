@echo off
rem Double click: starts the control panel. The first time a Python is found or fetched, and the program sets itself up
rem in a window; from then on this window is gone at once. The shortcut on the desktop needs no such window at all.
setlocal EnableExtensions DisableDelayedExpansion
title Personality Bot
pushd "%~dp0..\.." 2>nul
if not exist "launcher.py" goto not_unpacked

rem The program's own Python, once there is one that starts.
if not exist ".venv\Scripts\pythonw.exe" goto find
".venv\Scripts\python.exe" -c "" >nul 2>&1
if errorlevel 1 goto find
start "" ".venv\Scripts\pythonw.exe" launcher.py --windowed %*
goto end

rem No paths are read from a program's output: the names of people would not survive the console's code page.
:find
set "FITS=import sys, venv, ensurepip; assert sys.maxsize > 2**32 and sys.version_info >= (3, 11)"
for %%V in (3.13 3.12 3.11 3.14) do (
    py -%%V -c "%FITS%; import tkinter" >nul 2>&1
    if not errorlevel 1 (
        start "" pyw -%%V launcher.py --windowed %*
        goto end
    )
)
python -c "%FITS%; import tkinter" >nul 2>&1
if not errorlevel 1 (
    start "" pythonw launcher.py --windowed %*
    goto end
)

rem uv (https://docs.astral.sh/uv) brings a Python of its own, for this user only.
set "UV=uv"
uv --version >nul 2>&1
if not errorlevel 1 goto with_uv
set "UV=%USERPROFILE%\.local\bin\uv.exe"
if exist "%UV%" goto with_uv
set "UV=%LOCALAPPDATA%\PersonalityBot\uv\uv.exe"
if exist "%UV%" goto with_uv
echo.
echo  This program needs Python 3.11 or later, with its windows (tcl/tk), and found none.
echo.
echo  Press a key to fetch one now: uv and Python 3.13, about 50 MB from astral.sh and github.com,
echo  for this user only. Or close this window, install Python 3.13 from https://www.python.org/downloads
echo  and double-click this file again.
echo.
pause >nul
powershell -NoProfile -ExecutionPolicy Bypass -Command "$env:UV_UNMANAGED_INSTALL = Join-Path $env:LOCALAPPDATA 'PersonalityBot\uv'; irm https://astral.sh/uv/install.ps1 | iex"
if not exist "%UV%" goto no_python

:with_uv
set "HOW=run --no-project --no-config --python-preference only-managed --python 3.13"
"%UV%" %HOW% python -c "%FITS%; import tkinter"
if errorlevel 1 goto no_python
rem uvw is uv without a console, which would stay open as long as the panel.
set "UVW=%UV:uv.exe=uvw.exe%"
if "%UVW%"=="uv" set "UVW=uvw"
start "" "%UVW%" %HOW% pythonw launcher.py --windowed %*
goto end

rem A Python without windows is better than none: everything is said in this window.
:no_python
for %%V in (3.13 3.12 3.11 3.14) do (
    py -%%V -c "%FITS%" >nul 2>&1
    if not errorlevel 1 (
        py -%%V launcher.py %*
        goto keep_open
    )
)
python -c "%FITS%" >nul 2>&1
if not errorlevel 1 (
    python launcher.py %*
    goto keep_open
)
echo.
echo  No Python could be fetched. Install Python 3.13 from https://www.python.org/downloads
echo  (leave "tcl/tk and IDLE" ticked), then double-click this file again.
goto keep_open

:not_unpacked
echo.
echo  The program's files are not here. If this is inside a zip, unpack all of it first
echo  (right-click, Extract all), for example to C:\bot, then double-click this file there.

:keep_open
echo.
pause

:end
popd 2>nul
endlocal
