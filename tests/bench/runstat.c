// Times short commands as whole processes, in turn, round by round.
//
// usage: runstat -n ROUNDS -w WARMUP LABEL COMMAND... ::: LABEL COMMAND... ...
//
// Prints one tab-separated line a command: label, exit status, medians of wall
// and CPU time in ms and of peak memory in kB, and the medians of the ratios
// to the first command of the same round, for wall, CPU and memory.
//
// Kept small and linked statically: the peak memory of a child never reads
// less than what the process that started it occupies.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_COMMANDS = 16, FIGURES = 3 };

struct command {
    const char *label;
    char **arguments;
    double *figures[FIGURES]; // wall ms, CPU ms, peak kB; one a round
    int status;
};

static struct command commands[MOST_COMMANDS];
static double *sorted;

static double seconds(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec / 1e6; }

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *values, int count) {
    memcpy(sorted, values, (size_t)count * sizeof *values);
    qsort(sorted, (size_t)count, sizeof *sorted, by_value);
    return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

static double *numbers(int count) {
    double *values = calloc((size_t)count, sizeof *values);
    if (!values)
        exit(3);
    return values;
}

// What the children print goes to memory: some programs stop early when they
// find /dev/null.
static void run(struct command *command, int round, int output) {
    struct rusage usage;
    int status = 0;
    if (ftruncate(output, 0) || lseek(output, 0, SEEK_SET))
        exit(3);
    double start = now();
    pid_t child = vfork();
    if (child == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 0);
        dup2(output, 1);
        dup2(null, 2);
        execvp(command->arguments[0], command->arguments);
        _exit(127);
    }
    while (wait4(child, &status, 0, &usage) < 0 && errno == EINTR)
        ;
    double wall = now() - start;
    status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (status != 0)
        command->status = status;
    if (round < 0)
        return;
    command->figures[0][round] = wall * 1e3;
    command->figures[1][round] = (seconds(usage.ru_utime) + seconds(usage.ru_stime)) * 1e3;
    command->figures[2][round] = (double)usage.ru_maxrss;
}

int main(int count, char **words) {
    int rounds = 0, warmup = 0, number = 0, option;
    while ((option = getopt(count, words, "+n:w:")) != -1) {
        switch (option) {
        case 'n': rounds = atoi(optarg); break;
        case 'w': warmup = atoi(optarg); break;
        default: return 2;
        }
    }
    for (int at = optind; at < count && number < MOST_COMMANDS; at++, number++) {
        commands[number].label = words[at++];
        commands[number].arguments = words + at;
        while (at < count && strcmp(words[at], ":::") != 0)
            at++;
        if (at < count)
            words[at] = NULL;
    }
    if (rounds < 1 || number == 0 || !commands[number - 1].arguments[0]) {
        fprintf(stderr, "usage: runstat -n ROUNDS -w WARMUP LABEL COMMAND... ::: LABEL COMMAND...\n");
        return 2;
    }
    sorted = numbers(rounds);
    double *ratio = numbers(rounds);
    int output = memfd_create("output", MFD_CLOEXEC);
    for (int each = 0; each < number; each++)
        for (int figure = 0; figure < FIGURES; figure++)
            commands[each].figures[figure] = numbers(rounds);
    for (int round = -warmup; round < rounds; round++)
        for (int each = 0; each < number; each++)
            run(&commands[each], round, output);
    for (int each = 0; each < number; each++) {
        printf("%s\t%d", commands[each].label, commands[each].status);
        for (int figure = 0; figure < FIGURES; figure++)
            printf("\t%.3f", median(commands[each].figures[figure], rounds));
        for (int figure = 0; figure < FIGURES; figure++) {
            for (int round = 0; round < rounds; round++) {
                double first = commands[0].figures[figure][round];
                ratio[round] = commands[each].figures[figure][round] / (first > 0 ? first : 1e-3);
            }
            printf("\t%.3f", median(ratio, rounds));
        }
        printf("\n");
    }
    return 0;
}
