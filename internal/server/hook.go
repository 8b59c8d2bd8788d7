package server

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// HookUnit is the unit that a pattern of AlertRule.Units means: %i is the name of
// the server as its own unit has it (versus-1, as in
// left4me-server@versus-1.service), %e the event, or "recovered" for its end. An
// alert about no server has "_daemon" in the name's place, a test "_test"; no
// server can be called so.
func HookUnit(pattern string, a Alert) (string, error) {
	name, event := a.Server, a.Event
	switch {
	case a.Test:
		name = "_test"
	case a.Event == AlertOrphan:
		name, _ = Instance(a.Unit)
	case name == "":
		name = "_daemon"
	}
	if a.State == AlertResolved {
		event = AlertRecovered
	}
	unit := strings.NewReplacer("%i", name, "%e", string(event)).Replace(pattern)
	return unit, CheckHookUnit(unit)
}

// hookUnit is a service's name, an instance of a template included
// (systemd.unit(5), "Description").
var hookUnit = regexp.MustCompile(`^[A-Za-z0-9:_.\\-]+(@[A-Za-z0-9:_.\\@-]+)?\.service$`)

// CheckHookUnit refuses what is no service, and what is left4med's own: those
// units are driven by jobs alone.
func CheckHookUnit(unit string) error {
	switch {
	case len(unit) > maxUnitName:
		return fmt.Errorf("the name is too long: at most %d characters are possible", maxUnitName)
	case strings.HasSuffix(strings.TrimSuffix(unit, ".service"), "@"):
		return errors.New("it is a template without an instance; put %i between @ and .service")
	case !hookUnit.MatchString(unit):
		return errors.New("it is no name of a service; \"notify-me@%i.service\" is one")
	}
	for _, ours := range []string{"left4me", "dbus-org.left4me"} { // the first begins left4med's, too
		if strings.HasPrefix(unit, ours) {
			return errors.New("it is one of left4med's own units, which are not started so")
		}
	}
	return nil
}

// checkHook checks a pattern, which may have %i and %e between @ and .service
// alone: a server's name must not choose the unit.
func checkHook(pattern string) error {
	before, _, _ := strings.Cut(pattern, "@")
	if strings.Contains(before, "%i") {
		return errors.New("%i must stand between @ and .service, so that a server's name chooses no other unit")
	}
	longest := Alert{Server: strings.Repeat("n", 24), Event: AlertDegraded}
	unit := strings.NewReplacer("%i", longest.Server, "%e", string(AlertRecovered)).Replace(pattern)
	if strings.Contains(unit, "%") {
		return errors.New("it has a % that is neither %i nor %e")
	}
	return CheckHookUnit(unit)
}
