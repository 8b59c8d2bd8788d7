package main

import "testing"

func TestByteSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]byteSize{"0": 0, "1": 1, "1500M": 1500 << 20, "1G": 1 << 30, "2T": 2 << 40, "3K": 3 << 10} {
		var got byteSize
		if err := got.Set(text); err != nil || got != want {
			t.Errorf("Set(%q) = %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "G", "-1", "1.5G", "1GB", "1g", "99999999999999999999", "99999999T"} {
		if got := byteSize(7); got.Set(text) == nil || got != 7 {
			t.Errorf("Set(%q) = %d", text, got)
		}
	}
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 200 << 20: "200 MiB", 9 << 30: "9.0 GiB", 5000 << 40: "5000 TiB"} {
		if got := shortSize(n); got != want {
			t.Errorf("shortSize(%d) = %q, want %q", n, got, want)
		}
	}
}
