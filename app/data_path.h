/* Files that are installed with the program, in share/qasr. */
#ifndef QASR_APP_DATA_PATH_H
#define QASR_APP_DATA_PATH_H

/* The path of such a file or folder, to be released with free; NULL if there is none (or no memory). Looks in
 * QASR_DATA_DIR if that is set, else in ../share/qasr beside the folder of the program, so that a moved installation
 * and a build folder work, then in the folder of the installation. */
char *data_path(const char *name);

#endif
