/* Notes what SQLite does to the files of a store, in order: each write and truncation, when each sync
 * began and ended, and what the process acknowledged (its writes to a file named `acked`).
 * A record: operation, file, two numbers of 64 bits in the machine's order, and the bytes written. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static pthread_mutex_t in_order = PTHREAD_MUTEX_INITIALIZER;
static int journal = -1;
static uint64_t syncs;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off64_t);
static int (*real_ftruncate)(int, off64_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_unlink)(const char *);

__attribute__((constructor)) static void begin(void) {
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_unlink = dlsym(RTLD_NEXT, "unlink");
    const char *path = getenv("POWER_CUT_JOURNAL");
    if (path) journal = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
}

static char file_of_path(const char *path) {
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    if (!strcmp(name, "herald.db")) return 'd';
    if (!strcmp(name, "herald.db-wal")) return 'w';
    if (!strcmp(name, "herald.db-journal")) return 'j';
    if (!strcmp(name, "acked")) return 'a';
    return 0;
}

static char file_of(int fd) {
    char link[64], path[4096];
    if (journal < 0 || fd == journal) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return file_of_path(path);
}

static void note(char operation, char file, uint64_t one, uint64_t two, const void *bytes) {
    char head[18] = { operation, file };
    memcpy(head + 2, &one, 8);
    memcpy(head + 10, &two, 8);
    if (real_write(journal, head, sizeof head) != sizeof head) abort();
    if (bytes && real_write(journal, bytes, two) != (ssize_t)two) abort();
}

ssize_t write(int fd, const void *bytes, size_t n) {
    char file = file_of(fd);
    if (!file) return real_write(fd, bytes, n);
    pthread_mutex_lock(&in_order);
    off64_t at = lseek64(fd, 0, SEEK_CUR);
    ssize_t written = real_write(fd, bytes, n);
    if (written > 0) note('W', file, at, written, bytes);
    pthread_mutex_unlock(&in_order);
    return written;
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at) {
    char file = file_of(fd);
    if (!file) return real_pwrite(fd, bytes, n, at);
    pthread_mutex_lock(&in_order);
    ssize_t written = real_pwrite(fd, bytes, n, at);
    if (written > 0) note('W', file, at, written, bytes);
    pthread_mutex_unlock(&in_order);
    return written;
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) { return pwrite64(fd, bytes, n, at); }

int ftruncate64(int fd, off64_t length) {
    char file = file_of(fd);
    if (!file) return real_ftruncate(fd, length);
    pthread_mutex_lock(&in_order);
    int failed = real_ftruncate(fd, length);
    if (!failed) note('T', file, length, 0, NULL);
    pthread_mutex_unlock(&in_order);
    return failed;
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

static int synced(int fd, int (*sync)(int)) {
    char file = file_of(fd);
    if (!file) return sync(fd);
    pthread_mutex_lock(&in_order);
    uint64_t number = ++syncs;
    note('B', file, number, 0, NULL);
    pthread_mutex_unlock(&in_order);
    int failed = sync(fd);
    pthread_mutex_lock(&in_order);
    if (!failed) note('E', file, number, 0, NULL);
    pthread_mutex_unlock(&in_order);
    return failed;
}

int fsync(int fd) { return synced(fd, real_fsync); }

int fdatasync(int fd) { return synced(fd, real_fdatasync); }

int unlink(const char *path) {
    char file = file_of_path(path);
    pthread_mutex_lock(&in_order);
    int failed = real_unlink(path);
    if (!failed && file && journal >= 0) note('U', file, 0, 0, NULL);
    pthread_mutex_unlock(&in_order);
    return failed;
}
