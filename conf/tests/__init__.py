"""The grader's tests, one file for each part of the project. jos.grade has the decorator."""
