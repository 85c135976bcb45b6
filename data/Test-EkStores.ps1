#requires -Version 5.1
<#
.SYNOPSIS
Tells whether EKROOT and EKCA of this CA hold what the manifest beside this script says. Changes nothing.

.DESCRIPTION
Reads manifest.json, refuses it unless its SHA-256 is the one given, and compares it with the two stores by SHA-256.
Exit code 0: they hold exactly what the manifest lists. 1: something is missing, extra, or in the wrong store. 3: refused.

.PARAMETER ManifestSha256
The SHA-256 of manifest.json, as `ekstore export adcs` printed it. Take it from there, not from this folder.

.PARAMETER SaveTo
Also saves what the stores hold to this folder, for `ekstore adcs check-stores`: EKROOT\*.cer and EKCA\*.cer.

.EXAMPLE
.\Test-EkStores.ps1 -ManifestSha256 <64 hexadecimal digits> -SaveTo C:\Temp\held
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory = $true)]
    [ValidatePattern('^[0-9A-Fa-f]{64}$')]
    [string] $ManifestSha256,

    [string] $SaveTo
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

function Get-Sha256([byte[]] $Bytes) {
    $algorithm = [System.Security.Cryptography.SHA256]::Create()
    try {
        return ([System.BitConverter]::ToString($algorithm.ComputeHash($Bytes)) -replace '-', '').ToLowerInvariant()
    } finally {
        $algorithm.Dispose()
    }
}

$manifestBytes = [System.IO.File]::ReadAllBytes((Join-Path $PSScriptRoot 'manifest.json'))
if ((Get-Sha256 $manifestBytes) -ne $ManifestSha256.ToLowerInvariant()) {
    [Console]::Error.WriteLine('refused: manifest.json does not have the SHA-256 that was given')
    exit 3
}
$manifest = [System.Text.Encoding]::UTF8.GetString($manifestBytes) | ConvertFrom-Json
if ($manifest.form -ne 1) {
    [Console]::Error.WriteLine('refused: manifest.json has a form that this script does not know')
    exit 3
}

$wanted = @{}
foreach ($entry in $manifest.certificates) {
    $wanted[$entry.fingerprint] = $entry.store
}
$unwanted = @{}
foreach ($entry in $manifest.removed) {
    $unwanted[$entry.fingerprint] = $entry.why
}

$sound = $true
foreach ($name in @('EKROOT', 'EKCA')) {
    $held = @{}
    if (Test-Path -LiteralPath "Cert:\LocalMachine\$name") {
        $store = New-Object System.Security.Cryptography.X509Certificates.X509Store($name, 'LocalMachine')
        $store.Open('ReadOnly')
        try {
            foreach ($certificate in @($store.Certificates)) {
                $held[(Get-Sha256 $certificate.RawData)] = $certificate.RawData
            }
        } finally {
            $store.Close()
        }
    } else {
        Write-Warning "there is no store $name"
    }
    foreach ($fingerprint in @($wanted.Keys | Sort-Object)) {
        if ($wanted[$fingerprint] -eq $name -and -not $held.ContainsKey($fingerprint)) {
            Write-Warning "$name lacks $fingerprint"
            $sound = $false
        }
    }
    foreach ($fingerprint in @($held.Keys | Sort-Object)) {
        if (-not $wanted.ContainsKey($fingerprint)) {
            $why = 'which the manifest does not list'
            if ($unwanted.ContainsKey($fingerprint)) {
                $why = "which is $($unwanted[$fingerprint])"
            }
            Write-Warning "$name holds $fingerprint, $why"
            $sound = $false
        } elseif ($wanted[$fingerprint] -ne $name) {
            Write-Warning "$name holds $fingerprint, which belongs in $($wanted[$fingerprint])"
            $sound = $false
        }
    }
    if ($SaveTo) {
        $folder = Join-Path $SaveTo $name
        New-Item -ItemType Directory -Path $folder -Force | Out-Null
        foreach ($fingerprint in @($held.Keys)) {
            [System.IO.File]::WriteAllBytes((Join-Path $folder "$fingerprint.cer"), $held[$fingerprint])
        }
    }
}

if ($sound) {
    Write-Output "EKROOT and EKCA hold generation $($manifest.generation)."
    exit 0
}
exit 1
