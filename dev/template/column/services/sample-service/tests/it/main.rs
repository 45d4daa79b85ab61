mod column_feature;
