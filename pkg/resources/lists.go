package resources

import (
	"context"

	"github.com/hearth-profiles/hearth/pkg/upstream"
)

type serviceJSON struct {
	Name         string   `json:"name"`
	ProfileTypes []string `json:"profileTypes"`
}

func services(ctx context.Context, c *upstream.Client, p params) (any, error) {
	r, err := p.timeRange()
	if err != nil {
		return nil, err
	}
	found, err := c.Services(ctx, r)
	if err != nil {
		return nil, err
	}
	out := struct {
		Services []serviceJSON `json:"services"`
	}{make([]serviceJSON, 0, len(found))}
	for _, s := range found {
		out.Services = append(out.Services, serviceJSON(s))
	}
	return out, nil
}

type typeJSON struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	SampleType string `json:"sampleType"`
	SampleUnit string `json:"sampleUnit"`
	PeriodType string `json:"periodType"`
	PeriodUnit string `json:"periodUnit"`
	Label      string `json:"label"`
}

func profileTypes(ctx context.Context, c *upstream.Client, p params) (any, error) {
	r, err := p.timeRange()
	if err != nil {
		return nil, err
	}
	types, err := c.ProfileTypes(ctx, r)
	if err != nil {
		return nil, err
	}
	out := struct {
		Types []typeJSON `json:"types"`
	}{make([]typeJSON, 0, len(types))}
	for _, t := range types {
		out.Types = append(out.Types, typeJSON{
			ID: t.ID, Name: t.Name, SampleType: t.SampleType, SampleUnit: t.SampleUnit,
			PeriodType: t.PeriodType, PeriodUnit: t.PeriodUnit, Label: t.Name + " / " + t.SampleType,
		})
	}
	return out, nil
}

func labelNames(ctx context.Context, c *upstream.Client, p params) (any, error) {
	r, err := p.timeRange()
	if err != nil {
		return nil, err
	}
	names, err := c.LabelNames(ctx, p.values.Get("selector"), r)
	return struct {
		Names []string `json:"names"`
	}{names}, err
}

func labelValues(ctx context.Context, c *upstream.Client, p params) (any, error) {
	r, err := p.timeRange()
	if err != nil {
		return nil, err
	}
	name := p.values.Get("name")
	if name == "" {
		return nil, upstream.Invalid("name is required: the label whose values are wanted")
	}
	values, err := c.LabelValues(ctx, name, p.values.Get("selector"), r)
	return struct {
		Values []string `json:"values"`
	}{values}, err
}
