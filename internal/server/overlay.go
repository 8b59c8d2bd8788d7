package server

// Overlay is a directory below overlays/, which servers can have on top of the
// installation.
type Overlay struct {
	Name    string  `json:"name"`
	Size    *uint64 `json:"size,omitempty" doc:"Bytes of its files. Left out when it could not be looked at."`
	Files   *int    `json:"files,omitempty" doc:"How many files it has. Left out like size."`
	Servers []Name  `json:"servers" doc:"Those whose settings name it, and those that run with it since before their settings were changed. Sorted."`
	Problem string  `json:"problem,omitempty" doc:"Why no server can be given it, or what of it could not be looked at."`
}
