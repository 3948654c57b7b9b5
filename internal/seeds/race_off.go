//go:build !race

package seeds

func raceOff() {}
func raceOn()  {}
