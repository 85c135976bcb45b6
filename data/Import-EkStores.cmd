@echo off
rem Runs Import-EkStores.ps1 with the parameters given here, for example:
rem   Import-EkStores.cmd -ManifestSha256 <64 digits> -WhatIf
powershell.exe -NoLogo -NoProfile -NonInteractive -ExecutionPolicy Bypass -File "%~dp0Import-EkStores.ps1" %*
exit /b %ERRORLEVEL%
