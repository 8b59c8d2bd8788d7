package server

// The range of uids that systemd gives to units with DynamicUser=yes, both
// ends included (systemd's docs/UIDS-GIDS.md).
const (
	dynamicLow  = 61184
	dynamicHigh = 65519
)

// IsGameUID says whether a uid is one that a game has, or could have.
func IsGameUID(uid uint32) bool { return uid >= dynamicLow && uid <= dynamicHigh }
