package execcgo

/*
#include <stdlib.h>
static int work(int n, char *s) { return n + (s != 0); }
*/
import "C"

import (
	"context"
	"unsafe"

	"github.com/seed-97bda89a/executor"
)

func helper() int { return int(C.work(1, nil)) } // want helper:`calls C: C.work`

func calls(ctx context.Context, e *executor.Executor) error {
	return e.Go(ctx, func(ctx context.Context) {
		s := C.CString("x")
		defer C.free(unsafe.Pointer(s))
		C.work(1, s)          // want `the task calls C.work outside of Blocking and Bulkhead`
		_, _ = C.work(2, nil) // want `the task calls C.work`
		helper()              // want `the task calls execcgo.helper -> C.work`
		executor.Blocking(ctx, func() { C.work(3, s) })
	})
}
