// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// image describes a container image of one layer that is made from files of this machine.
type image struct {
	Name  string
	Files []imageFile
	// Programs are copied to their own path, with the shared libraries and the loader they need.
	Programs []string
	// Folders are made empty, and every user may write to them.
	Folders    []string
	Entrypoint []string
	Env        []string
	// User is an id rather than a name, because the kubelet checks runAsNonRoot against it.
	User string
}

// imageFile is one file of an image, from the machine or from Content.
type imageFile struct {
	From    string
	To      string // absolute
	Content []byte
	// Link makes the file a symbolic link to this path.
	Link string
}

// programFile is a file that is copied for --file: it has to run by itself in an otherwise empty image.
func programFile(from, to string) (imageFile, error) {
	if !strings.HasPrefix(to, "/") {
		return imageFile{}, fmt.Errorf("%s=%s: the path in the image must be absolute", from, to)
	}
	binary, err := elf.Open(from)
	if err != nil {
		if _, statErr := os.Stat(from); statErr != nil {
			return imageFile{}, statErr
		}
		return imageFile{From: from, To: to}, nil // not a program
	}
	defer binary.Close()
	for _, header := range binary.Progs {
		if header.Type == elf.PT_INTERP {
			return imageFile{}, fmt.Errorf(
				"%s needs shared libraries: build it with CGO_ENABLED=0, or copy it with --program", from)
		}
	}
	return imageFile{From: from, To: to}, nil
}

// libraries are the files that the loader opens to run a program, the loader itself included.
func libraries(ctx context.Context, program string) ([]string, error) {
	binary, err := elf.Open(program)
	if err != nil {
		return nil, fmt.Errorf("%s is not a program; if it is a script, name the program that it starts: %w", program, err)
	}
	binary.Close()
	output, err := exec.CommandContext(ctx, "ldd", program).CombinedOutput()
	if err != nil {
		if bytes.Contains(output, []byte("not a dynamic executable")) {
			return nil, nil
		}
		return nil, fmt.Errorf("ldd %s: %w: %s", program, err, lastLines(output, 3))
	}
	return parseLibraries(program, string(output))
}

// parseLibraries reads what ldd prints: lines such as
//
//	linux-vdso.so.1 (0x00007ffd...)
//	libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f...)
//	/lib64/ld-linux-x86-64.so.2 (0x00007f...)
func parseLibraries(program, output string) ([]string, error) {
	var paths []string
	for line := range strings.Lines(output) {
		library, found, arrow := strings.Cut(strings.TrimSpace(line), " => ")
		if !arrow {
			found = library
		}
		if strings.HasPrefix(found, "not found") {
			return nil, fmt.Errorf("%s needs %s, which this machine lacks", program, library)
		}
		if file, _, _ := strings.Cut(found, " ("); strings.HasPrefix(file, "/") {
			paths = append(paths, file)
		}
	}
	return paths, nil
}

// files resolves the programs of the image to files.
func (i image) files(ctx context.Context) ([]imageFile, error) {
	files := append([]imageFile(nil), i.Files...)
	for _, program := range i.Programs {
		program, err := exec.LookPath(program)
		if err != nil {
			return nil, err
		}
		if program, err = filepath.Abs(program); err != nil {
			return nil, err
		}
		needed, err := libraries(ctx, program)
		if err != nil {
			return nil, err
		}
		for _, file := range append([]string{program}, needed...) {
			files = append(files, imageFile{From: file, To: file})
		}
	}
	return files, nil
}

// imageTime is the time of everything in an image, so that the same files make the same image.
var imageTime = time.Unix(0, 0).UTC()

// layer is the image's files as a tar: folders before what is in them, everything owned by root.
func (i image) layer(ctx context.Context) ([]byte, error) {
	files, err := i.files(ctx)
	if err != nil {
		return nil, err
	}
	headers := map[string]*tar.Header{}
	sources := map[string]imageFile{}
	for _, folder := range i.Folders {
		addParents(headers, folder)
		headers[path.Clean(folder)] = folderHeader(folder, 0o1777)
	}
	for _, file := range files {
		to := path.Clean(file.To)
		header := &tar.Header{Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(file.Content))}
		switch {
		case file.Link != "":
			header.Typeflag, header.Linkname, header.Mode = tar.TypeSymlink, file.Link, 0o777
		case file.From != "":
			info, err := os.Stat(file.From)
			if err != nil {
				return nil, err
			}
			if !info.Mode().IsRegular() {
				return nil, fmt.Errorf("%s is not a regular file", file.From)
			}
			// Every user may read it, whoever may on this machine: the image has another user.
			header.Size, header.Mode = info.Size(), int64(info.Mode().Perm()|0o444)
			if info.Mode()&0o100 != 0 {
				header.Mode |= 0o111
			}
		}
		header.Name, header.ModTime, header.Format = strings.TrimPrefix(to, "/"), imageTime, tar.FormatPAX
		addParents(headers, to)
		headers[to], sources[to] = header, file
	}
	var layer bytes.Buffer
	writer := tar.NewWriter(&layer)
	for _, p := range slices.Sorted(maps.Keys(headers)) {
		if err := writer.WriteHeader(headers[p]); err != nil {
			return nil, fmt.Errorf("add %s: %w", p, err)
		}
		if err := writeContent(writer, headers[p], sources[p]); err != nil {
			return nil, fmt.Errorf("add %s: %w", p, err)
		}
	}
	return layer.Bytes(), writer.Close()
}

func writeContent(writer io.Writer, header *tar.Header, file imageFile) error {
	if header.Typeflag != tar.TypeReg {
		return nil
	}
	if file.From == "" {
		_, err := writer.Write(file.Content)
		return err
	}
	source, err := os.Open(file.From)
	if err != nil {
		return err
	}
	defer source.Close()
	_, err = io.Copy(writer, source)
	return err
}

func addParents(headers map[string]*tar.Header, file string) {
	for folder := path.Dir(path.Clean(file)); folder != "/" && folder != "."; folder = path.Dir(folder) {
		if headers[folder] == nil {
			headers[folder] = folderHeader(folder, 0o755)
		}
	}
}

func folderHeader(folder string, mode int64) *tar.Header {
	return &tar.Header{
		Typeflag: tar.TypeDir, Name: strings.TrimPrefix(path.Clean(folder), "/") + "/",
		Mode: mode, ModTime: imageTime, Format: tar.FormatPAX,
	}
}

// build makes the image. Its configuration names architecture and system: containerd hides images that
// do not.
func (i image) build(ctx context.Context) (v1.Image, error) {
	content, err := i.layer(ctx)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	})
	if err != nil {
		return nil, err
	}
	withLayer, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	config, err := withLayer.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Created = v1.Time{Time: imageTime}
	config.Config.Entrypoint = i.Entrypoint
	config.Config.Env = append([]string{"PATH=" + systemPath}, i.Env...)
	config.Config.User = i.User
	config.Config.WorkingDir = "/"
	return mutate.ConfigFile(withLayer, config)
}

// write writes the image as an archive that `docker load`, `kind load` and containerd read.
func (i image) write(ctx context.Context, writer io.Writer) error {
	tag, err := name.NewTag(i.Name)
	if err != nil {
		return fmt.Errorf("image name: %w", err)
	}
	built, err := i.build(ctx)
	if err != nil {
		return fmt.Errorf("build image %s: %w", i.Name, err)
	}
	return tarball.Write(tag, built, writer)
}
