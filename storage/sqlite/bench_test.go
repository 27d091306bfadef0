package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/fastport/fastport/storage"
	"github.com/fastport/fastport/storage/storagetest"
)

func BenchmarkStore(b *testing.B) {
	storagetest.Bench(b, func(b *testing.B) storage.Store {
		return openTest(b, filepath.Join(b.TempDir(), "fastport.db"), storage.Options{})
	})
}
