package main

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// The tests run this binary again as the program itself.
func TestMain(m *testing.M) {
	if os.Getenv("QUOTA_TEST_MAIN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// Who prints to nobody says so, and does not go on. Mutants: the check for a closed output; the error of a line.
func TestQuota_StandardOutputIsClosedOrFull(t *testing.T) {
	for shell, want := range map[string]string{
		`exec "$0" -for 10s >&-`:        "quota: standard output is closed\n",
		`exec "$0" -for 10s >/dev/full`: "quota: write /dev/stdout: no space left on device\n",
	} {
		program := exec.Command("sh", "-c", shell, os.Args[0])
		program.Env = append(os.Environ(), "QUOTA_TEST_MAIN=1")
		said, err := program.CombinedOutput()
		var status *exec.ExitError
		require.ErrorAs(t, err, &status, "%s: %s", shell, said)
		require.Equal(t, 1, status.ExitCode(), "%s: %s", shell, said)
		require.Equal(t, want, string(said), shell)
	}
}
