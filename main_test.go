package executor_test

import (
	"testing"

	"github.com/seed-97bda89a/executor/internal/testkit"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	testkit.PlayChild()
	testkit.ReadTickless()
	goleak.VerifyTestMain(m)
}
