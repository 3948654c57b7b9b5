package main

import "hash/crc32"

// CRC-32C is the checksum that cloud object stores keep of an object and that SCTP, iSCSI, ext4 and Btrfs use.
// Go's own is faster than the portable C beside it, which stands for the C library a real program cannot do without.

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// crc32cGo continues the checksum crc, 0 at the start, over p. It is used where there is no C compiler, and is what
// the C function is tested against.
func crc32cGo(crc uint32, p []byte) uint32 { return crc32.Update(crc, castagnoli, p) }

// crc32cJoin returns the checksum of two texts, one after the other, from the checksum of each and the length of the
// second. That makes one checksum of a whole tree although its files are read in any order.
//
// A checksum is a polynomial over GF(2) modulo Castagnoli's. Appending n bytes multiplies what is before them by
// x^(8n), and x^(8n) is a product of the x^(2^k) for the bits k of 8n.
func crc32cJoin(first, second uint32, secondLen int64) uint32 {
	for k := 3; secondLen > 0; k++ {
		if secondLen&1 != 0 {
			first = mulmod(first, powers[k])
		}
		secondLen >>= 1
	}
	return first ^ second
}

// powers[k] is x^(2^k).
var powers = func() (p [3 + 63]uint32) {
	p[0] = 1 << 30 // x: the highest bit is x^0
	for k := 1; k < len(p); k++ {
		p[k] = mulmod(p[k-1], p[k-1])
	}
	return p
}()

// mulmod multiplies two polynomials modulo Castagnoli's.
func mulmod(a, b uint32) (product uint32) {
	for ; a != 0; a <<= 1 {
		if a&(1<<31) != 0 {
			product ^= b
		}
		// b times x; what falls out at x^32 comes back reduced.
		carry := b & 1
		b >>= 1
		if carry != 0 {
			b ^= crc32.Castagnoli
		}
	}
	return product
}
