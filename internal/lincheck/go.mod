module github.com/seed-97bda89a/executor/internal/lincheck

go 1.26.0

require github.com/anishathalye/porcupine v1.3.1
