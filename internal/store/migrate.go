package store

import _ "embed"

var (
	//go:embed schema/001.sql
	schema001 string
	//go:embed schema/002.sql
	schema002 string
	//go:embed schema/003.sql
	schema003 string
	//go:embed schema/004.sql
	schema004 string
)

// migrations lists the steps from an empty file on. A step that was released is
// never changed again: the next change of the schema is a new step.
func migrations() []string { return []string{schema001, schema002, schema003, schema004} }
