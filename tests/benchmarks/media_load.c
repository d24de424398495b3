/* The other end of the measurement of received media, and its yardstick.
 *
 *   media_load send SOCKET SECONDS PORT...   sends 50 RTP packets of PCMU a second to each port on 127.0.0.1, from the
 *                                            socket that was inherited, and prints how many left
 *   media_load receive COUNT                 binds so many ports, prints them, counts what comes by epoll until TERM,
 *                                            and prints the count
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PACKET_SIZE = 172, SLICES = 20, EVENTS = 256 };

static volatile sig_atomic_t ended;

static void on_term(int number) {
    (void)number;
    ended = 1;
}

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* Every port gets its packet each 20 ms, the ports spread over slices of 1 ms. */
static int send_all(int sock, double seconds, int count, char **ports) {
    struct sockaddr_in *targets = calloc((size_t)count, sizeof *targets);
    uint8_t packet[PACKET_SIZE];
    unsigned long sent = 0;
    struct timespec next;
    if (targets == NULL) return 1;
    for (int line = 0; line < count; line++) targets[line] = loopback(atoi(ports[line]));
    memset(packet, 0xff, sizeof packet);
    packet[0] = 0x80;
    packet[1] = 0;
    clock_gettime(CLOCK_MONOTONIC, &next);
    for (uint32_t frame = 0; frame < (uint32_t)(seconds * 50); frame++) {
        uint16_t number = htons((uint16_t)frame);
        uint32_t timestamp = htonl(frame * 160);
        memcpy(packet + 2, &number, 2);
        memcpy(packet + 4, &timestamp, 4);
        for (int slice = 0; slice < SLICES; slice++) {
            for (int line = slice; line < count; line += SLICES) {
                uint32_t ssrc = htonl((uint32_t)line + 1);
                memcpy(packet + 8, &ssrc, 4);
                if (sendto(sock, packet, sizeof packet, 0, (struct sockaddr *)&targets[line], sizeof *targets) > 0) sent++;
            }
            next.tv_nsec += 1000000;
            if (next.tv_nsec >= 1000000000) {
                next.tv_nsec -= 1000000000;
                next.tv_sec++;
            }
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
        }
    }
    printf("%lu\n", sent);
    return 0;
}

static int receive_all(int count) {
    int poller = epoll_create1(0), size = 212992;
    unsigned long received = 0;
    struct epoll_event events[EVENTS];
    char buffer[2048];
    for (int line = 0; line < count; line++) {
        struct sockaddr_in address = loopback(0);
        socklen_t length = sizeof address;
        int sock = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        struct epoll_event event = {.events = EPOLLIN, .data = {.fd = sock}};
        if (sock < 0 || bind(sock, (struct sockaddr *)&address, length)) return 1;
        setsockopt(sock, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
        getsockname(sock, (struct sockaddr *)&address, &length);
        epoll_ctl(poller, EPOLL_CTL_ADD, sock, &event);
        printf("%d ", ntohs(address.sin_port));
    }
    printf("\n");
    fflush(stdout);
    signal(SIGTERM, on_term);
    while (!ended) {
        int ready = epoll_wait(poller, events, EVENTS, 100);
        for (int index = 0; index < ready; index++)
            if (recv(events[index].data.fd, buffer, sizeof buffer, 0) > 0) received++;
    }
    printf("%lu\n", received);
    return 0;
}

int main(int count, char **words) {
    if (count > 4 && !strcmp(words[1], "send"))
        return send_all(atoi(words[2]), atof(words[3]), count - 4, words + 4);
    if (count == 3 && !strcmp(words[1], "receive")) return receive_all(atoi(words[2]));
    return 2;
}
