

bad traces