package main

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/png"
	"math"
	"math/cmplx"

	"github.com/seed-97bda89a/executor"
)

// Every picture is painted at this size, and then made smaller.
const (
	paintWidth  = 640
	paintHeight = 480
	iterations  = 64
)

// picture returns a small PNG. It runs in a task: painting splits over idle slots, the C function has its
// bulkhead, and the context ends both.
func (s *service) picture(ctx context.Context, seed uint64, width int) ([]byte, error) {
	large, err := paint(ctx, s.exec, seed)
	if err != nil {
		return nil, err
	}
	small := image.NewRGBA(image.Rect(0, 0, width, max(1, width*paintHeight/paintWidth)))
	// A C call holds its thread, and Go can not take the processor from it. The bulkhead bounds how many there are
	// over the whole process, and lends the slot meanwhile.
	if err := s.native.Blocking(ctx, func() { shrink(small, large) }); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = png.Encode(&out, small)
	return out.Bytes(), err
}

// paint draws the Julia set of a point that seed chooses, row by row, and stops soon after ctx is done. Work of
// seconds would end each row with executor.Checkpoint, and let others go first; among requests that are all as short
// as these it would only make some of them wait longer.
func paint(ctx context.Context, exec *executor.Executor, seed uint64) (*image.RGBA, error) {
	img := image.NewRGBA(image.Rect(0, 0, paintWidth, paintHeight))
	c := cmplx.Rect(0.7885, 2*math.Pi*float64(seed%360)/360)
	err := executor.For(ctx, exec, paintHeight, func(ctx context.Context, y int) error {
		for x := range paintWidth {
			const scale = 3.0 / paintHeight
			z := complex((float64(x)-paintWidth/2)*scale, (float64(y)-paintHeight/2)*scale)
			img.SetRGBA(x, y, shades[escape(z, c)])
		}
		return ctx.Err()
	})
	return img, err
}

// escape counts the steps z = z²+c takes to leave the circle of radius 2, iterations at most.
func escape(z, c complex128) int {
	for n := range iterations {
		if real(z)*real(z)+imag(z)*imag(z) > 4 {
			return n
		}
		z = z*z + c
	}
	return iterations
}

// shades is the colour for each number of steps.
var shades = func() (s [iterations + 1]color.RGBA) {
	for n := range s {
		at := float64(n) / iterations
		s[n] = color.RGBA{uint8(255 * math.Sqrt(at)), uint8(255 * at * at), uint8(80 + 175*math.Sin(math.Pi*at)), 255}
	}
	return s
}()

// shrinkGo fills dst with src made smaller: each pixel is the mean of the rectangle that it stands for. It is used
// where there is no C compiler, and is what the C function is tested against. dst is not larger than src, and the
// pixels of both are contiguous.
func shrinkGo(dst, src *image.RGBA) {
	dw, dh, sw, sh := dst.Rect.Dx(), dst.Rect.Dy(), src.Rect.Dx(), src.Rect.Dy()
	for y := range dh {
		top, bottom := y*sh/dh, (y+1)*sh/dh
		for x := range dw {
			left, right := x*sw/dw, (x+1)*sw/dw
			var sum [4]int
			for sy := top; sy < bottom; sy++ {
				for i, v := range src.Pix[sy*src.Stride+4*left : sy*src.Stride+4*right] {
					sum[i&3] += int(v)
				}
			}
			n := (bottom - top) * (right - left)
			for i, v := range sum {
				dst.Pix[y*dst.Stride+4*x+i] = uint8((v + n/2) / n)
			}
		}
	}
}
