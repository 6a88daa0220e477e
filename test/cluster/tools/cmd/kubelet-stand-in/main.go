// The streaming side of the kubelets of a few nodes: exec, port-forward and logs for pods that are network namespaces.
// Everything else (pod status, nodes) is written to the API server by the tests. The streams are served by the kubelet's own
// code (k8s.io/kubelet/pkg/cri/streaming), so that what the API server talks to is the real thing.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/types"
	remotecommandconsts "k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/client-go/tools/remotecommand"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/kubelet/pkg/cri/streaming/portforward"
	streaming "k8s.io/kubelet/pkg/cri/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// Config is the file named by the first argument. It is read once; changes of a running cluster are made in the API.
type Config struct {
	Nodes map[string]Node `json:"nodes"`
	Pods  map[string]Pod  `json:"pods"` // "namespace/name"
}

// Node serves the kubelet's API on Address; Netns is the name of its namespace under /var/run/netns, Listen as for a pod.
type Node struct {
	Address string   `json:"address"`
	Netns   string   `json:"netns"`
	Listen  []string `json:"listen"`
}

type Pod struct {
	Node  string `json:"node"`
	Netns string `json:"netns"`
	// What an exec finds: host mounts of the istio-cni pod, or nothing at all.
	Agent bool `json:"agent"`
	// While this file is there, the image has no shell.
	NoShell    string   `json:"noShell"`
	CniFolder  string   `json:"cniFolder"`
	PodsOnNode []string `json:"podsOnNode"` // netns names, what /var/run/netns of the node holds
	// Admin port: path (with query) to file.
	Admin map[string]string `json:"admin"`
	// host:port to listen on in the namespace, so that a socket is there.
	Listen []string          `json:"listen"`
	Logs   map[string]string `json:"logs"`
}

func main() {
	log.SetFlags(0)
	var config Config
	body, err := os.ReadFile(os.Args[1])
	if err == nil {
		err = json.Unmarshal(body, &config)
	}
	if err != nil {
		log.Fatal(err)
	}
	for name, pod := range config.Pods {
		if err := openSockets(pod); err != nil {
			log.Fatalf("%s: %v", name, err)
		}
	}
	certificate, key, err := certutil.GenerateSelfSignedCertKey("127.0.1.1", nil, nil)
	if err != nil {
		log.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		log.Fatal(err)
	}
	for name, node := range config.Nodes {
		if err := openSockets(Pod{Netns: node.Netns, Listen: node.Listen}); err != nil {
			log.Fatalf("%s: %v", name, err)
		}
		listener, err := tls.Listen("tcp", node.Address, &tls.Config{Certificates: []tls.Certificate{pair}})
		if err != nil {
			log.Fatal(err)
		}
		kubelet := &kubelet{config: &config, node: name}
		go func() { log.Fatal(http.Serve(listener, kubelet.handler())) }()
	}
	fmt.Println("ready")
	select {}
}

type kubelet struct {
	config *Config
	node   string
}

func (k *kubelet) handler() http.Handler {
	mux := http.NewServeMux()
	pod := func(w http.ResponseWriter, r *http.Request) *Pod {
		// a debug pod on the host network of the node, whatever its image
		if strings.HasPrefix(r.PathValue("pod"), "meshpath-") {
			return &Pod{Node: k.node, Netns: k.config.Nodes[k.node].Netns, Agent: true}
		}
		found, ok := k.config.Pods[r.PathValue("ns")+"/"+r.PathValue("pod")]
		if !ok || found.Node != k.node {
			http.Error(w, "pod does not exist", http.StatusNotFound)
			return nil
		}
		return &found
	}
	mux.HandleFunc("/exec/{ns}/{pod}/{container}", func(w http.ResponseWriter, r *http.Request) {
		options, err := streaming.NewOptions(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if p := pod(w, r); p != nil {
			streaming.ServeExec(w, r, &executor{p, k.config.Nodes[p.Node]}, r.PathValue("pod"), "", r.PathValue("container"),
				r.URL.Query()["command"], options, time.Hour, remotecommandconsts.DefaultStreamCreationTimeout,
				remotecommandconsts.SupportedStreamingProtocols)
		}
	})
	mux.HandleFunc("/portForward/{ns}/{pod}", func(w http.ResponseWriter, r *http.Request) {
		options, err := portforward.NewV4Options(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if p := pod(w, r); p != nil {
			portforward.ServePortForward(w, r, forwarder{p.Netns}, r.PathValue("pod"), "", options, time.Hour,
				remotecommandconsts.DefaultStreamCreationTimeout, []string{portforward.ProtocolV1Name})
		}
	})
	mux.HandleFunc("GET /containerLogs/{ns}/{pod}/{container}", func(w http.ResponseWriter, r *http.Request) {
		if p := pod(w, r); p != nil {
			file, ok := p.Logs[r.PathValue("container")]
			if !ok {
				http.Error(w, "no log of this container", http.StatusNotFound)
				return
			}
			http.ServeFile(w, r, file)
		}
	})
	return mux
}

type executor struct {
	pod  *Pod
	node Node
}

// ExecInContainer runs the command as the container of an istio-cni pod would: in the pod's network namespace, with the
// node's namespaces and files under /host.
func (e *executor) ExecInContainer(_ context.Context, _ string, _ types.UID, _ string, argv []string, in io.Reader, out, errs io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize, _ time.Duration) error {
	_, err := os.Stat(e.pod.NoShell)
	if err == nil && slices.Contains([]string{"sh", "nsenter"}, argv[0]) || !e.pod.Agent {
		return fmt.Errorf("OCI runtime exec failed: exec failed: unable to start container process: exec: %q: executable file not found in $PATH: unknown", argv[0])
	}
	root, err := os.MkdirTemp("", "stand-in-")
	if err != nil {
		return err
	}
	defer os.Remove(root)
	script := mountScript(root, e.node.Netns, e.pod.PodsOnNode, e.pod.CniFolder) + "\nexec nsenter --net=/var/run/netns/" + e.pod.Netns + " chroot " + root + ` "$@"`
	command := exec.Command("sh", append([]string{"-c", script, "sh"}, argv...)...)
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Setpgid: true}
	command.Stdin, command.Stdout, command.Stderr = in, out, errs
	var exit *exec.ExitError
	if err = command.Run(); errors.As(err, &exit) {
		if exit.ExitCode() == 127 {
			return fmt.Errorf("exec: %q: executable file not found in $PATH", argv[0])
		}
		return utilexec.CodeExitError{Err: err, Code: exit.ExitCode()}
	}
	return err
}

func mountScript(root, node string, pods []string, cni string) string {
	lines := []string{"set -e", "mount --make-rprivate /", "mount -t tmpfs tmpfs " + root, "cd " + root}
	for _, folder := range []string{"usr", "bin", "sbin", "lib", "lib64", "etc", "sys", "dev"} {
		lines = append(lines, "if [ -e /"+folder+" ]; then mkdir "+folder+"; mount --rbind /"+folder+" "+folder+"; fi")
	}
	// a container sees its own processes only
	lines = append(lines, "mkdir proc", "mount -t proc proc proc", "mkdir -p run tmp host/var/run/netns host/proc/1/ns host/etc/cni/net.d",
		"touch host/proc/1/ns/net", "mount --bind /var/run/netns/"+node+" host/proc/1/ns/net")
	for _, name := range pods {
		lines = append(lines, "touch host/var/run/netns/cni-"+name, "mount --bind /var/run/netns/"+name+" host/var/run/netns/cni-"+name)
	}
	if cni != "" {
		lines = append(lines, "mount --bind "+cni+" host/etc/cni/net.d")
	}
	return strings.Join(lines, "\n")
}

type forwarder struct{ netns string }

func (f forwarder) PortForward(_ context.Context, _ string, _ types.UID, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	var connection net.Conn
	err := inNetns(f.netns, func() (err error) {
		connection, err = net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), 5*time.Second)
		return err
	})
	if err != nil {
		return fmt.Errorf("failed to connect to localhost:%d inside namespace: %w", port, err)
	}
	defer connection.Close()
	var both sync.WaitGroup
	both.Add(1)
	go func() {
		defer both.Done()
		_, _ = io.Copy(stream, connection)
	}()
	go func() { _, _ = io.Copy(connection, stream) }()
	both.Wait()
	return nil
}
