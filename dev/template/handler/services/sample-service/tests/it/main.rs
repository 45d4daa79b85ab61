mod other_heard;
