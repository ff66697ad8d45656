package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
)

// schemaFile is values.schema.json. Helm refuses values that it does not have.
func schemaFile(all []value) (string, error) {
	root := schema{
		"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of Telltale's chart",
		"type": "object", "additionalProperties": false, "properties": schema{
			// Helm gives these to each chart that is part of another.
			"global":  schema{"type": "object", "description": "Values of the chart that this one is a part of. Telltale reads none."},
			"enabled": schema{"type": "boolean", "description": "For the condition of a chart that this one is a part of. Telltale does not read it."},
		},
	}

	for _, v := range all {
		at, path := root, strings.Split(v.name, ".")
		for _, group := range path[:len(path)-1] {
			at = at["properties"].(schema)[group].(schema)
		}

		at["properties"].(schema)[path[len(path)-1]] = schemaOf(v)
	}

	var out bytes.Buffer

	e := json.NewEncoder(&out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	err := e.Encode(root)

	return out.String(), err
}

// schemaOf adds the description, the default and, where it is simple, the type.
func schemaOf(v value) schema {
	s := schema{"description": v.about}

	switch v.is.(type) {
	case nil:
		s["type"], s["additionalProperties"], s["properties"] = "object", false, schema{}
	case bool:
		s["type"], s["default"] = "boolean", v.is
	case string:
		s["type"], s["default"] = "string", v.is
	default:
		s["default"] = v.is
	}

	maps.Copy(s, v.schema)

	return s
}
