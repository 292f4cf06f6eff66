package pprof

import (
	"strings"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// decodeMappings fills Mappings; index 0 is "no mapping".
func (d *Decoder) decodeMappings() error {
	d.out.Mappings = append(d.out.Mappings, profile.Mapping{})
	d.mappingIDs.reset(len(d.mappings), 1)
	for n, at := range d.mappings {
		m, id, err := d.mapping(d.plain[at.start:at.end])
		if err == nil {
			err = d.mappingIDs.addNew(id)
		}
		if err != nil {
			return malformed("mapping[%d]: %w", n, err)
		}
		d.out.Mappings = append(d.out.Mappings, m)
	}
	return nil
}

func (d *Decoder) mapping(b []byte) (m profile.Mapping, id uint64, err error) {
	var n numberFields
	if err = n.read(b, 10); err != nil {
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
		if err := d.function(d.plain[at.start:at.end]); err != nil {
			return malformed("function[%d]: %w", n, err)
		}
	}
	return nil
}

// function decodes one function and appends it.
func (d *Decoder) function(b []byte) error {
	var n numberFields
	if err := n.read(b, 5); err != nil {
		return err
	}
	if sent := uint64(d.names.sent); n[2] >= sent || n[3] >= sent || n[4] >= sent {
		return d.functionStrings(&n)
	}
	if err := d.functionIDs.addNew(n[1]); err != nil {
		return err
	}
	fn := profile.Function{Name: uint32(n[2]), SystemName: uint32(n[3]), Filename: uint32(n[4]), StartLine: int64(n[5])}
	if name := d.out.Strings[fn.Name]; strings.IndexByte(name, shapeMark[0]) >= 0 {
		fn.Name = d.names.clean(&d.out, fn.Name)
	}
	d.out.Functions = append(d.out.Functions, fn)
	return nil
}

// functionStrings says which of the strings of a function does not exist.
func (d *Decoder) functionStrings(n *numberFields) error {
	for i, field := range []string{"name", "system_name", "filename"} {
		if _, err := d.stringAt(n[i+2], field); err != nil {
			return err
		}
	}
	return nil
}

// decodeLocations fills Locations and Lines, and names the locations that came
// without lines.
func (d *Decoder) decodeLocations() error {
	d.locationIDs.reset(len(d.locations), 0)
	for n, at := range d.locations {
		if err := d.location(d.plain[at.start:at.end]); err != nil {
			return malformed("location[%d]: %w", n, err)
		}
	}
	return nil
}

// location decodes one location and appends it.
func (d *Decoder) location(b []byte) error {
	loc := profile.Location{LineStart: uint32(len(d.out.Lines))}
	var n numberFields
	for i := 0; i < len(b); {
		switch tag := b[i]; tag {
		case 1<<3 | wireVarint, 2<<3 | wireVarint, 3<<3 | wireVarint:
			var v uint64
			if i+1 < len(b) && b[i+1] < 0x80 {
				v = uint64(b[i+1])
				i += 2
			} else if i+2 < len(b) && b[i+2] < 0x80 {
				v = uint64(b[i+1]&0x7f) | uint64(b[i+2])<<7
				i += 3
			} else if v, i = uvarint(b, i+1); i < 0 {
				return errVarint
			}
			n[tag>>3] = v
			continue
		case 4<<3 | wireBytes:
			if start, end := embedded(b, i+1); end >= 0 {
				if err := d.line(b[start:end]); err != nil {
					return err
				}
				i = end
				continue
			}
		}
		var err error
		if i, err = d.locationField(b, i, &n); err != nil {
			return err
		}
	}
	if err := d.locationIDs.addNew(n[1]); err != nil {
		return err
	}
	loc.Mapping, _ = d.mappingIDs.find(n[2])
	loc.LineEnd = uint32(len(d.out.Lines))
	if loc.LineStart == loc.LineEnd {
		loc.Address = n[3]
		d.names.synthesise(&d.out, &loc)
		// One long file name and many short locations could make names of any size.
		if int64(len(d.names.arena)) > d.opts.MaxSize {
			return tooLarge("names of unsymbolised frames: the", d.opts.MaxSize)
		}
	}
	d.maxLines = max(d.maxLines, loc.LineEnd-loc.LineStart)
	d.out.Locations = append(d.out.Locations, loc)
	return nil
}

// locationField takes the field of a location at b[i:], whatever it is.
func (d *Decoder) locationField(b []byte, i int, n *numberFields) (int, error) {
	var f wireField
	i, err := f.next(b, i)
	if err != nil {
		return i, err
	}
	switch f.number {
	case 1, 2, 3, 5:
		n[f.number], err = f.value()
	case 4:
		if f.wire != wireBytes {
			return i, errType
		}
		err = d.line(f.data)
	}
	return i, err
}

// line decodes a line and appends it.
func (d *Decoder) line(b []byte) error {
	var n numberFields
	if err := n.read(b, 3); err != nil {
		return err
	}
	function, ok := d.functionIDs.find(n[1])
	if !ok {
		return malformed("line.function_id is %d; no function has this id", n[1])
	}
	d.out.Lines = append(d.out.Lines, profile.Line{Function: function, Line: int64(n[2])})
	return nil
}

// addNew enters the ID of the next message.
func (t *idTable) addNew(id uint64) error {
	if id == 0 {
		return malformed("id is 0; IDs start at 1")
	}
	if !t.add(id) {
		return malformed("id %d is taken by an earlier one", id)
	}
	return nil
}
