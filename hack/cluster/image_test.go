// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func writeTemporary(t *testing.T, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func testImage(t *testing.T) image {
	return image{
		Name: "writebehind/operator:dev",
		Files: []imageFile{
			{From: writeTemporary(t, "program", 0o700), To: "/manager"},
			{To: "/etc/passwd", Content: []byte("nobody\n")},
			{To: "/bin/sh", Link: "dash"},
		},
		Folders:    []string{"/data"},
		Entrypoint: []string{"/manager", "--flag"},
		Env:        []string{"A=b"},
		User:       "65532:65532",
	}
}

func TestLayer(t *testing.T) {
	content, err := testImage(t).layer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	reader := tar.NewReader(bytes.NewReader(content))
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		if header.Uid != 0 || header.Gid != 0 || !header.ModTime.Equal(imageTime) {
			t.Errorf("%s belongs to %d:%d and is of %s", header.Name, header.Uid, header.Gid, header.ModTime)
		}
		got = append(got, strings.TrimSpace(header.FileInfo().Mode().String()+" "+header.Name+" "+header.Linkname+string(body)))
	}
	// Folders come before what is in them, and a program that only root may run here anyone may run there.
	want := []string{
		"drwxr-xr-x bin/",
		"Lrwxrwxrwx bin/sh dash",
		"dtrwxrwxrwx data/",
		"drwxr-xr-x etc/",
		"-rw-r--r-- etc/passwd nobody",
		"-rwxr-xr-x manager program",
	}
	if !slices.Equal(got, want) {
		t.Errorf("layer:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestArchive(t *testing.T) {
	i := testImage(t)
	var archive, again bytes.Buffer
	for _, buffer := range []*bytes.Buffer{&archive, &again} {
		if err := i.write(t.Context(), buffer); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(archive.Bytes(), again.Bytes()) {
		t.Error("the same files made two different images")
	}
	tag, err := name.NewTag(i.Name)
	if err != nil {
		t.Fatal(err)
	}
	read, err := tarball.Image(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive.Bytes())), nil
	}, &tag)
	if err != nil {
		t.Fatal(err)
	}
	config, err := read.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.OS != "linux" || config.Architecture == "" {
		t.Errorf("the image is for %s/%s: containerd hides it", config.OS, config.Architecture)
	}
	if config.Config.User != i.User || !slices.Equal(config.Config.Entrypoint, i.Entrypoint) {
		t.Errorf("the image runs %v as %q", config.Config.Entrypoint, config.Config.User)
	}
	if !slices.Equal(config.Config.Env, []string{"PATH=" + systemPath, "A=b"}) {
		t.Errorf("the image's environment is %v", config.Config.Env)
	}
	if layers, err := read.Layers(); err != nil || len(layers) != 1 {
		t.Errorf("the image has %d layers, %v", len(layers), err)
	}
}

func TestImageErrors(t *testing.T) {
	for _, test := range []struct {
		name, want string
		image      image
	}{
		{"name", "image name", image{Name: "Not A Name"}},
		{"missing file", "no such file", image{Name: "a:b", Files: []imageFile{{From: "/nonexistent", To: "/a"}}}},
		{"folder", "not a regular file", image{Name: "a:b", Files: []imageFile{{From: "/tmp", To: "/a"}}}},
		{"missing program", "nonexistent", image{Name: "a:b", Programs: []string{"/nonexistent"}}},
		{"script", "script", image{Name: "a:b", Programs: []string{writeTemporary(t, "#!/bin/sh\n", 0o700)}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.image.write(t.Context(), io.Discard)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestProgramFile(t *testing.T) {
	text := writeTemporary(t, "text", 0o600)
	if file, err := programFile(text, "/text"); err != nil || file.To != "/text" {
		t.Errorf("a file that is no program: %v, %v", file, err)
	}
	if _, err := programFile(text, "text"); err == nil {
		t.Error("a relative path was taken")
	}
	if _, err := programFile(text+"-missing", "/text"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := programFile("/bin/sh", "/sh"); err == nil || !strings.Contains(err.Error(), "--program") {
		t.Errorf("a program with libraries: %v, want advice", err)
	}
}

func TestProgramBringsItsLibraries(t *testing.T) {
	files, err := image{Programs: []string{"/bin/sh"}}.files(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	has := func(part string) bool {
		return slices.ContainsFunc(files, func(f imageFile) bool { return strings.Contains(f.To, part) })
	}
	if files[0].To != "/bin/sh" || !has("libc.so") || !has("/ld-linux") {
		t.Errorf("files are %v, want the shell, its library and its loader", files)
	}
}

func TestParseLibraries(t *testing.T) {
	const output = `	linux-vdso.so.1 (0x00007ffd5a5f2000)
	libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f0b2c000000)
	/lib64/ld-linux-x86-64.so.2 (0x00007f0b2c3a1000)
`
	paths, err := parseLibraries("redis-server", output)
	want := []string{"/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"}
	if err != nil || !slices.Equal(paths, want) {
		t.Errorf("libraries = %v, %v, want %v", paths, err, want)
	}
	if paths, err := parseLibraries("static", "\tstatically linked\n"); err != nil || paths != nil {
		t.Errorf("libraries of a static program = %v, %v", paths, err)
	}
	_, err = parseLibraries("redis-server", "\tlibgone.so.1 => not found\n")
	if err == nil || !strings.Contains(err.Error(), "libgone.so.1") {
		t.Errorf("a missing library: %v, want its name", err)
	}
}
