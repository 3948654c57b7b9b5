//go:build executor_chaos

package executor

import (
	"fmt"
	"os"
)

func init() {
	if os.Getenv("EXECUTOR_TEST_CHILD") == "" {
		fmt.Fprintf(os.Stderr, "chaos: EXECUTOR_CHAOS_SEED=%d\n", chaosSeed)
	}
}
