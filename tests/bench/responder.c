// The control connections of as many gateways as loopback has addresses: one
// thread that listens on every one of them and agrees at once (RFC 2637,
// section 2). Unlike the stub it has a queue long enough for a sweep, and
// several of them share the work.
//
// usage: responder PORT; prints "ready" once it listens.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 65536, HEADER = 12, LONGEST = 156, EVENTS = 512 };

// What came of the message that each connection is in the middle of.
static unsigned char partial[MOST][LONGEST];
static unsigned char length[MOST];

static int answer(const unsigned char *message, unsigned char *reply) {
    int size = message[9] == 1 ? 156 : message[9] == 3 ? 16 : message[9] == 5 ? 20 : 0;
    memset(reply, 0, LONGEST);
    if (size == 0) return 0;
    reply[1] = (unsigned char)size;
    reply[3] = 1;
    memcpy(reply + 4, "\x1a\x2b\x3c\x4d", 4);
    reply[9] = (unsigned char)(message[9] + 1);
    if (message[9] == 1) {
        reply[12] = reply[14] = reply[27] = 1;
        memcpy(reply + 28, "local", 5);
        memcpy(reply + 92, "linux", 5);
    } else if (message[9] == 3) {
        reply[12] = 1;
    } else {
        memcpy(reply + 12, message + 12, 4);
        reply[16] = 1;
    }
    return size;
}

// Reads once and answers what is whole; false when the connection is over.
static int serve(int fd) {
    unsigned char *message = partial[fd], reply[LONGEST];
    ssize_t got = recv(fd, message + length[fd], (size_t)(LONGEST - length[fd]), 0);
    if (got <= 0) return got < 0 && errno == EAGAIN;
    length[fd] = (unsigned char)(length[fd] + got);
    while (length[fd] >= HEADER) {
        int whole = message[0] << 8 | message[1];
        if (whole <= HEADER || whole > LONGEST) return 0;
        if (length[fd] < whole) break;
        int size = answer(message, reply);
        if (size == 0 || send(fd, reply, (size_t)size, MSG_NOSIGNAL) != size) return 0;
        length[fd] = (unsigned char)(length[fd] - whole);
        memmove(message, message + whole, length[fd]);
    }
    return 1;
}

int main(int argc, char **argv) {
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poll = epoll_create1(0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 0))};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 16384)) {
        perror("responder");
        return 1;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    puts("ready");
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(poll, events, EVENTS, -1);
        for (int each = 0; each < count; each++) {
            int fd = events[each].data.fd;
            if (fd != listener) {
                if (!serve(fd)) close(fd);
                continue;
            }
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                if (fd >= MOST) {
                    close(fd);
                    continue;
                }
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                length[fd] = 0;
                event.data.fd = fd;
                epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
            }
        }
    }
}
