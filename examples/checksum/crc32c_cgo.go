//go:build cgo

package main

/*
#include <stddef.h>
#include <stdint.h>

static uint32_t table[8][256];

// crc32c_init fills the tables: table[k][b] is what byte b does to the checksum when k more bytes follow it.
static void crc32c_init(void) {
	for (uint32_t b = 0; b < 256; b++) {
		uint32_t crc = b;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
		table[0][b] = crc;
	}
	for (int k = 1; k < 8; k++)
		for (int b = 0; b < 256; b++)
			table[k][b] = table[k-1][b] >> 8 ^ table[0][table[k-1][b] & 255];
}

// crc32c_update continues crc over n bytes at p, eight at a time ("slicing by 8").
static uint32_t crc32c_update(uint32_t crc, const uint8_t *p, size_t n) {
	crc = ~crc;
	for (; n >= 8; n -= 8, p += 8) {
		crc ^= p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
		crc = table[7][crc & 255] ^ table[6][crc >> 8 & 255] ^ table[5][crc >> 16 & 255] ^ table[4][crc >> 24] ^
		      table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
	}
	while (n-- > 0)
		crc = crc >> 8 ^ table[0][(crc ^ *p++) & 255];
	return ~crc;
}
*/
import "C"

import (
	"sync"
	"unsafe"
)

// crc32cBy says who computes the second checksum.
const crc32cBy = "C"

var crc32cInit = sync.OnceFunc(func() { C.crc32c_init() })

// crc32c continues the checksum crc, 0 at the start, over p, in C. The call holds an OS thread until it returns.
func crc32c(crc uint32, p []byte) uint32 {
	crc32cInit()
	return uint32(C.crc32c_update(C.uint32_t(crc), (*C.uint8_t)(unsafe.SliceData(p)), C.size_t(len(p))))
}
