package cli

import (
	"sort"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
)

// AddCompletions completes the flags of kubectl that name something: namespaces
// of the cluster, contexts of the kubeconfig.
func (o *Options) AddCompletions(root *cobra.Command) {
	_ = root.RegisterFlagCompletionFunc("namespace", o.completeNamespaces)
	_ = root.RegisterFlagCompletionFunc("context", o.completeContexts)
}

func (o *Options) completeNamespaces(c *cobra.Command, _ []string, start string) ([]cobra.Completion, cobra.ShellCompDirective) {
	reader, err := o.Client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}

	var list corev1.NamespaceList
	if err := reader.List(c.Context(), &list); err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}

	names := make([]string, 0, len(list.Items))
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}

	return starting(names, start), cobra.ShellCompDirectiveNoFileComp
}

func (o *Options) completeContexts(_ *cobra.Command, _ []string, start string) ([]cobra.Completion, cobra.ShellCompDirective) {
	config, err := o.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}

	names := make([]string, 0, len(config.Contexts))
	for name := range config.Contexts {
		names = append(names, name)
	}

	return starting(names, start), cobra.ShellCompDirectiveNoFileComp
}

// starting returns the words that have a start, sorted.
func starting(words []string, start string) []cobra.Completion {
	var found []cobra.Completion

	for _, word := range words {
		if strings.HasPrefix(word, start) {
			found = append(found, word)
		}
	}

	sort.Strings(found)

	return found
}
