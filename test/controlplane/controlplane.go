// Package controlplane runs a real Kubernetes control plane on loopback, for
// tests and for the tools of hack/: etcd, kube-apiserver and
// kube-controller-manager, so that Deployments make ReplicaSets and these make
// Pods. There are no nodes: Pods stay Pending. The product never imports it.
//
//	cp, err := controlplane.Start(ctx, controlplane.Options{})
//	if err != nil { … }
//	defer cp.Stop()
//	out, err := cp.Kubectl(ctx, "describe", "deployment", "checkout")
//
// It starts the processes itself, and does not use controller-runtime's envtest,
// for two reasons. The API server can be stopped and started again with the same
// address, credentials and data, for tests of outages. And on Linux no process
// outlives us (package child); envtest's go on for ever after a test's panic,
// time-out or Ctrl-C.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"k8s.io/client-go/rest"

	"github.com/telltale-dev/telltale/test/child"
)

// Options change what Start does. The zero value is a whole control plane.
type Options struct {
	// Assets is the folder of the binaries etcd, kube-apiserver,
	// kube-controller-manager and kubectl. Default: $KUBEBUILDER_ASSETS.
	Assets string
	// LogDir gets one log per process, named after it, and is kept. Default:
	// within a temporary folder that Stop removes.
	LogDir string
	// NoControllerManager leaves kube-controller-manager out, which saves about
	// two seconds. Nothing makes Pods of Deployments then, nor service
	// accounts, so the admission plugin that asks for them is turned off.
	NoControllerManager bool
	// APIServerFlags are added to kube-apiserver's own, after ours: the last
	// one of a name wins. Those of $KUBERNETES_FLAGS come after them.
	APIServerFlags []string
	// ControllerManagerFlags are added to kube-controller-manager's likewise.
	ControllerManagerFlags []string
}

// ControlPlane is a running control plane. Its methods may be called by several
// goroutines, except those that stop or start something.
type ControlPlane struct {
	// Config is an administrator's (group system:masters), without a client
	// side rate limit. Copy it before changing it.
	Config *rest.Config
	// KubeconfigPath names a kubeconfig of the same administrator. Stop removes
	// the file.
	KubeconfigPath string

	options  Options
	dir      string // everything we write, logs apart
	etcdURL  string
	hostPort string // of the API server

	etcd, apiServer, controllerManager *child.Process
}

// Start returns a control plane in which Pods can be created: its API server is
// ready, and the service account default/default exists. ctx bounds the start
// alone; Stop ends what was started. On an error, nothing is left running, and
// the error holds the end of the log of the process that failed.
func Start(ctx context.Context, options Options) (*ControlPlane, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "telltale-controlplane-")
	if err != nil {
		return nil, fmt.Errorf("cannot start the control plane: %w", err)
	}
	if options.LogDir == "" {
		options.LogDir = dir
	}

	cp := &ControlPlane{options: options, dir: dir}
	if err := cp.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot start the control plane: %w", err), cp.Stop())
	}

	return cp, nil
}

func (cp *ControlPlane) start(ctx context.Context) error {
	if err := cp.writeCredentials(); err != nil {
		return err
	}
	if err := cp.startEtcd(ctx); err != nil {
		return err
	}
	if err := cp.StartAPIServer(ctx); err != nil {
		return err
	}
	if cp.options.NoControllerManager {
		return cp.apiServer.WaitUntil(ctx, child.Patience, cp.answers("/api/v1/namespaces/default"))
	}

	return cp.startControllerManager(ctx)
}

// Stop kills every process, waits for its end and removes the files. A second call
// does nothing, nor does one on nil.
func (cp *ControlPlane) Stop() error {
	if cp == nil {
		return nil
	}
	cp.controllerManager.Kill()
	cp.apiServer.Kill()
	cp.etcd.Kill()
	if err := os.RemoveAll(cp.dir); err != nil {
		return fmt.Errorf("cannot remove the control plane's files: %w", err)
	}

	return nil
}

// StopAPIServer kills the API server as a crash would: at once, connections
// and all. etcd keeps the data. It returns when the process is gone.
func (cp *ControlPlane) StopAPIServer() {
	cp.apiServer.Kill()
}

// StartAPIServer starts the API server again after StopAPIServer, with the same
// address, credentials and data, and waits until it is ready.
func (cp *ControlPlane) StartAPIServer(ctx context.Context) error {
	var err error
	cp.apiServer, err = cp.launch("kube-apiserver", cp.apiServerFlags())
	if err != nil {
		return err
	}

	return cp.apiServer.WaitUntil(ctx, child.Patience, cp.answers("/readyz"))
}

func (cp *ControlPlane) startEtcd(ctx context.Context) error {
	hostPort, err := FreeAddress()
	if err != nil {
		return err
	}
	cp.etcdURL = "http://" + hostPort
	cp.etcd, err = cp.launch("etcd", cp.etcdFlags())
	if err != nil {
		return err
	}

	return cp.etcd.WaitUntil(ctx, child.Patience, func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", hostPort)
		if err != nil {
			return err
		}

		return conn.Close()
	})
}

func (cp *ControlPlane) startControllerManager(ctx context.Context) error {
	var err error
	cp.controllerManager, err = cp.launch("kube-controller-manager", cp.controllerManagerFlags())
	if err != nil {
		return err
	}

	return cp.controllerManager.WaitUntil(ctx, child.Patience, cp.answers("/api/v1/namespaces/default/serviceaccounts/default"))
}

// launch starts one of the binaries, with its log in the log folder.
func (cp *ControlPlane) launch(name string, flags []string) (*child.Process, error) {
	cmd := exec.Command(filepath.Join(cp.options.Assets, name), flags...)

	return child.Start(cmd, filepath.Join(cp.options.LogDir, name+".log"))
}
