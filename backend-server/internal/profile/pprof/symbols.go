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
	var f wireField
	var file, build uint64
	for i := 0; i < len(b); {
		if i, err = f.next(b, i); err != nil {
			return m, 0, err
		}
		if f.number >= 1 && f.number <= 10 && f.wire != wireVarint {
			return m, 0, errType
		}
		switch f.number {
		case 1:
			id = f.num
		case 2:
			m.Start = f.num
		case 3:
			m.Limit = f.num
		case 4:
			m.Offset = f.num
		case 5:
			file = f.num
		case 6:
			build = f.num
		case 7:
			m.HasFunctions = f.num != 0
		}
	}
	if m.File, err = d.stringAt(file, "filename"); err != nil {
		return m, 0, err
	}
	m.BuildID, err = d.stringAt(build, "build_id")
	return m, id, err
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
	var f wireField
	var name, system, file uint64
	for i := 0; i < len(b); {
		if i, err = f.next(b, i); err != nil {
			return fn, 0, err
		}
		if f.number >= 1 && f.number <= 5 && f.wire != wireVarint {
			return fn, 0, errType
		}
		switch f.number {
		case 1:
			id = f.num
		case 2:
			name = f.num
		case 3:
			system = f.num
		case 4:
			file = f.num
		case 5:
			fn.StartLine = int64(f.num)
		}
	}
	if fn.Name, err = d.stringAt(name, "name"); err != nil {
		return fn, 0, err
	}
	if fn.SystemName, err = d.stringAt(system, "system_name"); err != nil {
		return fn, 0, err
	}
	if fn.Filename, err = d.stringAt(file, "filename"); err != nil {
		return fn, 0, err
	}
	fn.Name = d.names.clean(&d.out, fn.Name)
	return fn, id, nil
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
	var f wireField
	loc := profile.Location{LineStart: uint32(len(d.out.Lines))}
	for i := 0; i < len(b); {
		if i, err = f.next(b, i); err != nil {
			return 0, err
		}
		switch f.number {
		case 1:
			id, err = f.value()
		case 2:
			var mapping uint64
			if mapping, err = f.value(); err == nil {
				loc.Mapping = 0
				if m, ok := d.mappingIDs.find(mapping); ok {
					loc.Mapping = m
				}
			}
		case 3:
			loc.Address, err = f.value()
		case 4:
			err = d.line(&f)
		case 5:
			_, err = f.value()
		}
		if err != nil {
			return 0, err
		}
	}
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
	return id, nil
}

// line decodes the line in field f and appends it.
func (d *Decoder) line(f *wireField) error {
	if f.wire != wireBytes {
		return errType
	}
	var function uint64
	var line profile.Line
	var lf wireField
	for i := 0; i < len(f.data); {
		var err error
		if i, err = lf.next(f.data, i); err != nil {
			return err
		}
		if lf.number >= 1 && lf.number <= 3 && lf.wire != wireVarint {
			return errType
		}
		switch lf.number {
		case 1:
			function = lf.num
		case 2:
			line.Line = int64(lf.num)
		}
	}
	var ok bool
	if line.Function, ok = d.functionIDs.find(function); !ok {
		return malformed("line.function_id is %d; no function has this id", function)
	}
	d.out.Lines = append(d.out.Lines, line)
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
