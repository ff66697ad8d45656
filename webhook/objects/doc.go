// Package objects knows which of the ConfigMaps and Secrets that Injections require
// are there.
//
//	o, err := objects.New(cfg, objects.Options{})
//	o.Require(injection, compiled.Required()) // for each that is added or edited
//	o.Start(ctx)
//	sight, key := o.Look(namespace, required) // patches.Objects
//
// There is one watch for each name that is required, over all namespaces, of metadata
// alone: so memory and load follow what Injections require, and not the cluster. Of an
// object it keeps its namespace, and the keys that it lacks. The watch of a name that
// nobody requires any more ends (TestWatches).
//
// Metadata has no keys. They are those of managedFields (patches.Keys); where these do
// not tell, the object's presence is enough.
package objects
