package pprof

import (
	"strings"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// decodeMappings fills Mappings; index 0 is "no mapping".
func (d *Decoder) decodeMappings() error {
	d.out.Mappings = append(d.out.Mappings, profile.Mapping{})
	d.mappingIDs.reset(len(d.found[fieldMapping]), 1)
	for n, at := range d.found[fieldMapping] {
		m, id, err := d.mapping(at)
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

func (d *Decoder) mapping(at span) (m profile.Mapping, id uint64, err error) {
	var n numberFields
	if err = n.read(d.plain, at, 10); err != nil {
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
	d.functionIDs.reset(len(d.found[fieldFunction]), 0)
	for n, at := range d.found[fieldFunction] {
		if err := d.function(at); err != nil {
			return malformed("function[%d]: %w", n, err)
		}
	}
	return nil
}

// function decodes one function and appends it.
func (d *Decoder) function(at span) error {
	var n numberFields
	if err := n.read(d.plain, at, 5); err != nil {
		return err
	}
	if sent := uint64(d.names.sent); n[2] >= sent || n[3] >= sent || n[4] >= sent {
		return d.functionStrings(&n)
	}
	if !d.functionIDs.next(n[1]) {
		if err := d.functionIDs.addNew(n[1]); err != nil {
			return err
		}
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
	d.locationIDs.reset(len(d.found[fieldLocation]), 0)
	for n, at := range d.found[fieldLocation] {
		if err := d.location(at); err != nil {
			return malformed("location[%d]: %w", n, err)
		}
	}
	return nil
}

// location decodes one location and appends it.
func (d *Decoder) location(at span) error {
	var n numberFields
	loc := profile.Location{LineStart: uint32(len(d.out.Lines))}
	if !d.usualLocation(at, &n) {
		d.out.Lines = d.out.Lines[:loc.LineStart]
		if err := d.anyLocation(at, &n); err != nil {
			return err
		}
	}
	if !d.locationIDs.next(n[1]) {
		if err := d.locationIDs.addNew(n[1]); err != nil {
			return err
		}
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

// usualLocation decodes a location whose fields, in any order, are an ID, a
// mapping and a function and a line number for each line, of one or two bytes
// each, and an address. It gives up on any other, leaving lines behind.
func (d *Decoder) usualLocation(at span, n *numberFields) bool {
	b, i, end := d.plain, int(at.start), int(at.end)
	for i < end && i+16 <= len(b) {
		switch tag := b[i]; tag {
		case 1<<3 | wireVarint, 2<<3 | wireVarint:
			if n[tag>>3], i = short(b, i+1); n[tag>>3] > maxShort {
				return false
			}
		case 3<<3 | wireVarint:
			if n[3], i = uvarint(b, i+1); i < 0 {
				return false
			}
		case 4<<3 | wireBytes:
			if b[i+2] != 1<<3|wireVarint {
				return false
			}
			stop := i + 2 + int(b[i+1])
			function, next := short(b, i+3)
			line := uint64(0)
			if next < stop && b[next] == 2<<3|wireVarint {
				line, next = short(b, next+1)
			}
			index, known := d.functionIDs.find(function)
			if next != stop || !known || function > maxShort || line > maxShort {
				return false
			}
			d.out.Lines = append(d.out.Lines, profile.Line{Function: index, Line: int64(line)})
			i = next
		default:
			return false
		}
	}
	return i == end
}

// anyLocation decodes a location of any layout.
func (d *Decoder) anyLocation(at span, n *numberFields) error {
	*n = numberFields{}
	b := d.plain[:at.end]
	for i := int(at.start); i < len(b); {
		var f wireField
		var err error
		if i, err = f.next(b, i); err != nil {
			return err
		}
		switch f.number {
		case 1, 2, 3, 5:
			n[f.number], err = f.value()
		case 4:
			if f.wire != wireBytes {
				return errType
			}
			err = d.line(span{uint32(i - len(f.data)), uint32(i)})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// line decodes a line and appends it.
func (d *Decoder) line(at span) error {
	var n numberFields
	if err := n.read(d.plain, at, 3); err != nil {
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
