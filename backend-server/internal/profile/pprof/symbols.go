package pprof

import (
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// decodeMappings fills Mappings; index 0 is "no mapping".
func (d *Decoder) decodeMappings() error {
	d.out.Mappings = append(d.out.Mappings, profile.Mapping{})
	d.mappingIDs.reset(len(d.mappings), 1)
	for n, at := range d.mappings {
		m, id, err := d.mapping(d.plain[at.start:at.end])
		if err == nil {
			err = addID(&d.mappingIDs, id)
		}
		if err != nil {
			return malformed("mapping[%d]: %w", n, err)
		}
		d.out.Mappings = append(d.out.Mappings, m)
	}
	return nil
}

func (d *Decoder) mapping(b []byte) (m profile.Mapping, id uint64, err error) {
	var n [11]uint64
	if err = numbers(b, n[:]); err != nil {
		return m, 0, err
	}
	m = profile.Mapping{Start: n[2], Limit: n[3], Offset: n[4], HasFunctions: n[7] != 0}
	if m.File, err = d.stringAt(n[5], "filename"); err != nil {
		return m, 0, err
	}
	m.BuildID, err = d.stringAt(n[6], "build_id")
	return m, n[1], err
}

// decodeFunctions fills Functions.
func (d *Decoder) decodeFunctions() error {
	d.functionIDs.reset(len(d.functions), 0)
	for n, at := range d.functions {
		fn, id, err := d.function(d.plain[at.start:at.end])
		if err == nil {
			err = addID(&d.functionIDs, id)
		}
		if err != nil {
			return malformed("function[%d]: %w", n, err)
		}
		d.out.Functions = append(d.out.Functions, fn)
	}
	return nil
}

func (d *Decoder) function(b []byte) (fn profile.Function, id uint64, err error) {
	var n [6]uint64
	if err = numbers(b, n[:]); err != nil {
		return fn, 0, err
	}
	fn.StartLine = int64(n[5])
	if fn.Name, err = d.stringAt(n[2], "name"); err != nil {
		return fn, 0, err
	}
	if fn.SystemName, err = d.stringAt(n[3], "system_name"); err != nil {
		return fn, 0, err
	}
	if fn.Filename, err = d.stringAt(n[4], "filename"); err != nil {
		return fn, 0, err
	}
	fn.Name = d.names.clean(&d.out, fn.Name)
	return fn, n[1], nil
}

// decodeLocations fills Locations and Lines, and names the locations that came
// without lines.
func (d *Decoder) decodeLocations() error {
	d.locationIDs.reset(len(d.locations), 0)
	for n, at := range d.locations {
		id, err := d.location(d.plain[at.start:at.end])
		if err == nil {
			err = addID(&d.locationIDs, id)
		}
		if err != nil {
			return malformed("location[%d]: %w", n, err)
		}
	}
	return nil
}

// location decodes one location, appends it, and returns its ID.
func (d *Decoder) location(b []byte) (id uint64, err error) {
	loc := profile.Location{LineStart: uint32(len(d.out.Lines))}
	var n [6]uint64
	for i := 0; i < len(b) && err == nil; {
		switch tag := b[i]; tag {
		case 1<<3 | wireVarint, 2<<3 | wireVarint, 3<<3 | wireVarint:
			if n[tag>>3], i = uvarint(b, i+1); i < 0 {
				return 0, errVarint
			}
		default:
			var f wireField
			if i, err = f.next(b, i); err != nil {
				return 0, err
			}
			switch f.number {
			case 1, 2, 3, 5:
				n[f.number], err = f.value()
			case 4:
				err = d.line(&f)
			}
		}
	}
	if err != nil {
		return 0, err
	}
	loc.Mapping, _ = d.mappingIDs.find(n[2])
	loc.Address = n[3]
	loc.LineEnd = uint32(len(d.out.Lines))
	if loc.LineStart < loc.LineEnd {
		loc.Address = 0
	} else {
		d.names.synthesise(&d.out, &loc)
		// One long file name and many short locations could make names of any size.
		if int64(len(d.names.arena)) > d.opts.MaxSize {
			return 0, tooLarge("names of unsymbolised frames: the", d.opts.MaxSize)
		}
	}
	d.maxLines = max(d.maxLines, loc.LineEnd-loc.LineStart)
	d.out.Locations = append(d.out.Locations, loc)
	return n[1], nil
}

// line decodes the line in field f and appends it.
func (d *Decoder) line(f *wireField) error {
	if f.wire != wireBytes {
		return errType
	}
	var n [4]uint64
	if err := numbers(f.data, n[:]); err != nil {
		return err
	}
	function, ok := d.functionIDs.find(n[1])
	if !ok {
		return malformed("line.function_id is %d; no function has this id", n[1])
	}
	d.out.Lines = append(d.out.Lines, profile.Line{Function: function, Line: int64(n[2])})
	return nil
}

// addID enters the ID of the next message into t.
func addID(t *idTable, id uint64) error {
	if id == 0 {
		return malformed("id is 0; IDs start at 1")
	}
	if !t.add(id) {
		return malformed("id %d is taken by an earlier one", id)
	}
	return nil
}
