// falsim: the stand-in for fal.ai as a program.
int main() { return 0; }
