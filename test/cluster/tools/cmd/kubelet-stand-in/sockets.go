package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// inNetns runs f on a thread of its own in a named network namespace; the thread ends with it.
func inNetns(name string, f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		file, err := os.Open("/var/run/netns/" + name)
		if err == nil {
			defer file.Close()
			err = unix.Setns(int(file.Fd()), unix.CLONE_NEWNET)
		}
		if err == nil {
			err = f()
		}
		result <- err
	}()
	return <-result
}

// What nobody refers to is closed by the garbage collector.
var open []net.Listener

// openSockets listens where the pod's processes would: the admin port answers with recorded dumps, the others only are there.
func openSockets(pod Pod) error {
	return inNetns(pod.Netns, func() error {
		for _, address := range pod.Listen {
			listener, err := net.Listen("tcp", address)
			if err != nil {
				return err
			}
			open = append(open, listener)
		}
		if len(pod.Admin) == 0 {
			return nil
		}
		listener, err := net.Listen("tcp", "127.0.0.1:15000")
		if err != nil {
			return err
		}
		go func() {
			_ = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				file, ok := pod.Admin[r.URL.RequestURI()]
				if !ok {
					http.Error(w, fmt.Sprintf("no %s", r.URL), http.StatusNotFound)
					return
				}
				w.Header().Set("Content-Type", "application/json")
				http.ServeFile(w, r, file)
			}))
		}()
		return nil
	})
}
