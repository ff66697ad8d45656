package apiserver

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	corev1 "k8s.io/api/core/v1"
)

// Apply applies to a decoded pod the JSON patch that is for its JSON: the result
// is what the API server decodes from the patched JSON (TestApply), at a cost
// that does not depend on the size of the pod. It knows the operations add,
// replace and remove, and changes the pod in place.
func Apply(pod *corev1.Pod, patch []byte) error {
	if patch == nil {
		return nil
	}

	var operations []operation
	if err := json.Unmarshal(patch, &operations); err != nil {
		return fmt.Errorf("cannot read the patch: %w", err)
	}

	for _, o := range operations {
		if err := o.apply(reflect.ValueOf(pod).Elem(), slices.Collect(o.Path.Tokens())); err != nil {
			return fmt.Errorf("cannot %s %s: %w", o.Op, o.Path, err)
		}
	}

	return nil
}

type operation struct {
	Op    string           `json:"op"`
	Path  jsontext.Pointer `json:"path"`
	Value json.RawMessage  `json:"value"`
}

// apply applies the operation to the value that a path starts from.
func (o operation) apply(v reflect.Value, path []string) error {
	token, rest := path[0], path[1:]

	switch {
	case v.Kind() == reflect.Map: // of strings: a path ends here
		return o.applyToKey(v, token)
	case v.Kind() == reflect.Slice && len(rest) == 0:
		return o.applyToElement(v, token)
	case v.Kind() == reflect.Slice:
		i, err := strconv.Atoi(token)
		if err != nil || i >= v.Len() {
			return fmt.Errorf("there is no element %s", token)
		}

		return o.apply(v.Index(i), rest)
	}

	field, ok := fieldOf(v, token)

	switch {
	case !ok:
		return fmt.Errorf("there is no field %s", token)
	case len(rest) == 0:
		field.SetZero()

		return json.Unmarshal(o.Value, field.Addr().Interface())
	default:
		return o.apply(field, rest)
	}
}

func (o operation) applyToKey(m reflect.Value, key string) error {
	if o.Op == "remove" {
		m.SetMapIndex(reflect.ValueOf(key), reflect.Value{})

		return nil
	}

	value := reflect.New(m.Type().Elem())
	if err := json.Unmarshal(o.Value, value.Interface()); err != nil {
		return err
	}

	m.SetMapIndex(reflect.ValueOf(key), value.Elem())

	return nil
}

func (o operation) applyToElement(list reflect.Value, token string) error {
	i, err := strconv.Atoi(token)
	if err != nil || i > list.Len() || o.Op == "replace" && i == list.Len() {
		return fmt.Errorf("there is no place %s", token)
	}

	element := reflect.New(list.Type().Elem())
	if err := json.Unmarshal(o.Value, element.Interface()); err != nil {
		return err
	}

	if o.Op == "replace" {
		list.Index(i).Set(element.Elem())

		return nil
	}

	before, after := list.Slice3(0, i, i), list.Slice(i, list.Len()) // the capacity makes Append copy
	list.Set(reflect.AppendSlice(reflect.Append(before, element.Elem()), after))

	return nil
}

// fieldOf finds the field of a struct by its name in JSON.
func fieldOf(v reflect.Value, name string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ","); tag == name {
			return v.Field(i), true
		}
	}

	return reflect.Value{}, false
}
