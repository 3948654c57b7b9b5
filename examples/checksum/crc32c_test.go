package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestCRC32C_IsTheSameInCAndGo compares every length and alignment that the C loops tell apart, and a few large ones.
// Built without cgo it compares Go with Go.
func TestCRC32C_IsTheSameInCAndGo(t *testing.T) {
	p := noise(1 << 20)
	for from := range 9 {
		for n := range 65 {
			part := p[from : from+n]
			assert.Equal(t, crc32cGo(0, part), crc32c(0, part), "%d bytes from %d", n, from)
			assert.Equal(t, crc32cGo(0xdeadbeef, part), crc32c(0xdeadbeef, part), "%d bytes from %d, continued", n, from)
		}
		assert.Equal(t, crc32cGo(0, p[from:]), crc32c(0, p[from:]))
	}
	assert.Equal(t, uint32(0xe3069283), crc32c(0, []byte("123456789")), "the check value of CRC-32C")
	assert.Zero(t, crc32c(0, nil))
	assert.Equal(t, uint32(7), crc32c(7, []byte{}))
}

func TestCRC32C_ContinuesInPieces(t *testing.T) {
	p := noise(1000)
	want := crc32cGo(0, p)
	for cut := range p {
		assert.Equal(t, want, crc32c(crc32c(0, p[:cut]), p[cut:]), "cut at %d", cut)
	}
}

func TestCRC32CJoin_IsThatOfTheWhole(t *testing.T) {
	p := noise(100_000)
	want := crc32cGo(0, p)
	for _, cut := range []int{0, 1, 7, 8, 255, 4096, 65_535, 99_999, 100_000} {
		assert.Equal(t, want, crc32cJoin(crc32cGo(0, p[:cut]), crc32cGo(0, p[cut:]), int64(len(p)-cut)), "cut at %d", cut)
	}
}

// TestCRC32CJoin_TakesAnyLength joins texts too long to be made, in two ways.
func TestCRC32CJoin_TakesAnyLength(t *testing.T) {
	const a, b, c = 0x12345678, 0x9abcdef0, 0x0fedcba9
	for _, long := range []int64{1 << 32, 50_000_000_000, 1<<62 - 1} {
		left := crc32cJoin(crc32cJoin(a, b, long), c, long)
		right := crc32cJoin(a, crc32cJoin(b, c, long), 2*long)
		assert.Equal(t, left, right, "%d", long)
	}
}

func BenchmarkCRC32C(b *testing.B) {
	p := noise(bufferSize)
	for name, update := range map[string]func(uint32, []byte) uint32{crc32cBy: crc32c, "twin in Go": crc32cGo} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				update(0, p)
			}
		})
	}
}
