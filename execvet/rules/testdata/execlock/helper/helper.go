package helper

import (
	"context"

	"github.com/seed-97bda89a/executor"
)

func Pause(ctx context.Context) { _ = executor.Checkpoint(ctx) } // want Pause:`yields: executor.Checkpoint`
