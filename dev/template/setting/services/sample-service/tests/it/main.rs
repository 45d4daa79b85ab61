mod topic_key;
