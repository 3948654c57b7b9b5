package main

import (
	"context"
	"image"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-97bda89a/executor"
)

// Built without cgo it compares Go with Go.
func TestShrink_IsTheSameInCAndGo(t *testing.T) {
	large, err := paint(t.Context(), newExecutor(t, executor.WithSlots(2)), 133)
	require.NoError(t, err)
	for _, size := range []image.Point{{640, 480}, {639, 479}, {320, 240}, {160, 120}, {33, 7}, {1, 1}} {
		byC, byGo := image.NewRGBA(image.Rectangle{Max: size}), image.NewRGBA(image.Rectangle{Max: size})
		shrink(byC, large)
		shrinkGo(byGo, large)
		require.Equal(t, byGo.Pix, byC.Pix, "%v", size)
		if size == large.Rect.Max {
			require.Equal(t, large.Pix, byGo.Pix, "nothing to shrink")
		}
	}
}

func TestShrink_IsTheMean(t *testing.T) {
	src, dst := image.NewRGBA(image.Rect(0, 0, 2, 2)), image.NewRGBA(image.Rect(0, 0, 1, 1))
	copy(src.Pix, []byte{0, 10, 255, 255, 0, 10, 255, 255, 1, 20, 255, 255, 1, 30, 255, 255})
	shrink(dst, src)
	require.Equal(t, []byte{1, 18, 255, 255}, dst.Pix, "17.5 and 0.5 are rounded up")
}

func TestPaint_EndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := paint(ctx, newExecutor(t), 1)
	require.ErrorIs(t, err, context.Canceled)
}
