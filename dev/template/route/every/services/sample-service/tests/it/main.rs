mod aspect;
