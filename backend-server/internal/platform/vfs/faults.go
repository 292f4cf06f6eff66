package vfs

// Op names what a file system is asked to do.
type Op string

// The operations a fault can be injected into.
const (
	OpCreate    Op = "create"
	OpOpen      Op = "open"
	OpRename    Op = "rename" // the name is the old one
	OpRemove    Op = "remove"
	OpRemoveAll Op = "remove all"
	OpMkdirAll  Op = "mkdir"
	OpList      Op = "list"
	OpStat      Op = "stat"
	OpSyncDir   Op = "sync dir"
	OpRead      Op = "read" // Read and ReadAt
	OpWrite     Op = "write"
	OpSync      Op = "sync"
	OpSize      Op = "size"
	OpClose     Op = "close"
	OpSpace     Op = "space"
)

// Changes tells whether the operation changes what is on disk or makes it
// durable, so that failing or crashing there is of interest.
func (o Op) Changes() bool {
	switch o {
	case OpOpen, OpList, OpStat, OpRead, OpSize, OpClose, OpSpace:
		return false
	default:
		return true
	}
}

// WithFaults returns fsys with errors on command: inject is called before each
// operation, and when it returns an error the operation returns that and is
// not done, except that a failing write leaves half of its bytes, as on a
// full disk, and a failing close closes. inject may be called concurrently.
func WithFaults(fsys FS, inject func(op Op, name string) error) FS {
	return faultFS{fsys, inject}
}

type faultFS struct {
	fs     FS
	inject func(op Op, name string) error
}

func (f faultFS) do(op Op, name string, call func() error) error {
	if err := f.inject(op, name); err != nil {
		return err
	}
	return call()
}

func (f faultFS) open(op Op, name string, open func(string) (File, error)) (File, error) {
	if err := f.inject(op, name); err != nil {
		return nil, err
	}
	file, err := open(name)
	if err != nil {
		return nil, err
	}
	return &faultFile{File: file, fs: f, name: name}, nil
}

func (f faultFS) Create(name string) (File, error) { return f.open(OpCreate, name, f.fs.Create) }

func (f faultFS) Open(name string) (File, error) { return f.open(OpOpen, name, f.fs.Open) }

func (f faultFS) Rename(from, to string) error {
	return f.do(OpRename, from, func() error { return f.fs.Rename(from, to) })
}

func (f faultFS) Remove(name string) error {
	return f.do(OpRemove, name, func() error { return f.fs.Remove(name) })
}

func (f faultFS) RemoveAll(name string) error {
	return f.do(OpRemoveAll, name, func() error { return f.fs.RemoveAll(name) })
}

func (f faultFS) MkdirAll(name string) error {
	return f.do(OpMkdirAll, name, func() error { return f.fs.MkdirAll(name) })
}

func (f faultFS) List(name string) (names []string, err error) {
	err = f.do(OpList, name, func() error { names, err = f.fs.List(name); return err })
	return names, err
}

func (f faultFS) Stat(name string) (info Info, err error) {
	err = f.do(OpStat, name, func() error { info, err = f.fs.Stat(name); return err })
	return info, err
}

func (f faultFS) SyncDir(name string) error {
	return f.do(OpSyncDir, name, func() error { return f.fs.SyncDir(name) })
}

func (f faultFS) Space(name string) (space Space, err error) {
	err = f.do(OpSpace, name, func() error { space, err = f.fs.Space(name); return err })
	return space, err
}

type faultFile struct {
	File
	fs   faultFS
	name string
}

func (f *faultFile) Read(p []byte) (int, error) {
	if err := f.fs.inject(OpRead, f.name); err != nil {
		return 0, err
	}
	return f.File.Read(p)
}

func (f *faultFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fs.inject(OpRead, f.name); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *faultFile) Write(p []byte) (int, error) {
	if err := f.fs.inject(OpWrite, f.name); err != nil {
		n, werr := f.File.Write(p[:len(p)/2])
		if werr != nil {
			return n, werr
		}
		return n, err
	}
	return f.File.Write(p)
}

func (f *faultFile) Sync() error { return f.fs.do(OpSync, f.name, f.File.Sync) }

func (f *faultFile) Size() (int64, error) {
	if err := f.fs.inject(OpSize, f.name); err != nil {
		return 0, err
	}
	return f.File.Size()
}

func (f *faultFile) Close() error {
	err := f.fs.inject(OpClose, f.name)
	if cerr := f.File.Close(); err == nil {
		err = cerr
	}
	return err
}
