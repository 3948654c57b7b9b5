//go:build cgo

package main

/*
#include <stddef.h>
#include <stdint.h>

// shrink fills dst, dw by dh pixels of 4 bytes, with src, sw by sh, made smaller: each pixel is the mean of the
// rectangle that it stands for. Nothing lies between rows.
static void shrink(uint8_t *dst, size_t dw, size_t dh, const uint8_t *src, size_t sw, size_t sh) {
	for (size_t y = 0; y < dh; y++) {
		size_t top = y * sh / dh, bottom = (y + 1) * sh / dh;
		for (size_t x = 0; x < dw; x++, dst += 4) {
			size_t left = x * sw / dw, right = (x + 1) * sw / dw, n = (bottom - top) * (right - left);
			size_t sum[4] = {n / 2, n / 2, n / 2, n / 2};
			for (size_t sy = top; sy < bottom; sy++)
				for (const uint8_t *p = src + 4 * (sy * sw + left), *end = p + 4 * (right - left); p < end; p += 4)
					for (int i = 0; i < 4; i++)
						sum[i] += p[i];
			for (int i = 0; i < 4; i++)
				dst[i] = (uint8_t)(sum[i] / n);
		}
	}
}
*/
import "C"

import (
	"image"
	"unsafe"
)

// shrinkBy says who makes pictures smaller.
const shrinkBy = "C"

// shrink is shrinkGo, in C. It stands for the C library that a real service can not do without.
func shrink(dst, src *image.RGBA) {
	C.shrink(
		(*C.uint8_t)(unsafe.SliceData(dst.Pix)), C.size_t(dst.Rect.Dx()), C.size_t(dst.Rect.Dy()),
		(*C.uint8_t)(unsafe.SliceData(src.Pix)), C.size_t(src.Rect.Dx()), C.size_t(src.Rect.Dy()),
	)
}
