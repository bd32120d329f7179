"""Point an existing boto3 or sagemaker program at Clary without changing it."""
