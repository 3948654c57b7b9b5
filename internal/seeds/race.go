//go:build race

package seeds

import "runtime"

// raceOff and raceOn enclose synchronization that is not the program's: the race detector must not see it (X3).
func raceOff() { runtime.RaceDisable() }
func raceOn()  { runtime.RaceEnable() }
