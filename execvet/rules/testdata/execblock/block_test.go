package execblock

import (
	"context"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
)

func TestOnPurpose(t *testing.T) {
	e, err := executor.New()
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Go(t.Context(), func(context.Context) { time.Sleep(1) }); err != nil {
		t.Fatal(err)
	}
}
