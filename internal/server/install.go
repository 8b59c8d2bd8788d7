package server

// The codes of a job that installs or updates the game. They tell apart what is
// to be done about it.
const (
	CodeSteamCMDMissing     Code = "steamcmd-missing"
	CodeNoNetwork           Code = "no-network"
	CodeInvalidPlatform     Code = "invalid-platform"
	CodeLoginFailed         Code = "login-failed"
	CodeSteamGuard          Code = "steam-guard"
	CodeSteamCMDFailed      Code = "steamcmd-failed"
	CodeInstallationDamaged Code = "installation-damaged"
)

// InstallExit is the exit status of left4me-install, which the daemon reads as
// ExecMainStatus of left4me-install.service and left4me-install-check.service.
// Why it ended so, in one sentence, the unit's journal tells in a line "fault TEXT".
//
// With the statuses from InstallNoSteamCMD to InstallSteamCMDFailed the
// installation is as it was before.
type InstallExit int

// The exit statuses.
const (
	InstallDone            InstallExit = 0
	InstallUnexpected      InstallExit = 1
	InstallUsage           InstallExit = 2
	InstallNoSteamCMD      InstallExit = 10
	InstallNoSpace         InstallExit = 11 // seen before anything was changed, or from the first line of progress
	InstallDiskFull        InstallExit = 12 // SteamCMD's state 0x202
	InstallNoNetwork       InstallExit = 13
	InstallInvalidPlatform InstallExit = 14 // also by way of the windows pass
	InstallLoginFailed     InstallExit = 15 // the account's name or password is wrong
	InstallSteamGuard      InstallExit = 16 // the account wants a code that nobody can type
	InstallSteamCMDFailed  InstallExit = 17 // a state that is not known, or SteamCMD crashed or was killed
	InstallDamaged         InstallExit = 18 // and what was there before could not be put back whole
)

// Code answers the code of the job that ended with this status: CodeJobFailed
// for one that is not known, and nothing for InstallDone.
func (e InstallExit) Code() Code {
	switch e {
	case InstallDone:
		return ""
	case InstallNoSteamCMD:
		return CodeSteamCMDMissing
	case InstallNoSpace, InstallDiskFull:
		return CodeNoSpace
	case InstallNoNetwork:
		return CodeNoNetwork
	case InstallInvalidPlatform:
		return CodeInvalidPlatform
	case InstallLoginFailed:
		return CodeLoginFailed
	case InstallSteamGuard:
		return CodeSteamGuard
	case InstallSteamCMDFailed:
		return CodeSteamCMDFailed
	case InstallDamaged:
		return CodeInstallationDamaged
	}
	return CodeJobFailed
}
